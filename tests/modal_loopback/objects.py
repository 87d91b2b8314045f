"""What is deployed and looked up: environments, apps, functions and classes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2

from tests.modal_loopback.ids import new_id
from tests.modal_loopback.journal import Journal
from tests.modal_loopback.materials import BUILDER_VERSION, Materials, require_environment


@dataclass
class Function:
    """A function as deployed; of a class, the one service function that stands for all its methods."""

    id: str
    app_id: str
    name: str  # of a class: "EuMistral7b.*"
    methods: dict[str, api_pb2.MethodDefinition] = field(default_factory=dict)
    definition: api_pb2.Function = field(default_factory=api_pb2.Function)
    data: api_pb2.FunctionData = field(default_factory=api_pb2.FunctionData)

    @property
    def class_name(self) -> str:
        return self.name.removesuffix(".*")

    def metadata(self) -> api_pb2.FunctionHandleMetadata:
        """What a client needs to call it."""
        formats = [api_pb2.DATA_FORMAT_PICKLE, api_pb2.DATA_FORMAT_CBOR]
        handle = api_pb2.FunctionHandleMetadata(
            app_id=self.app_id,
            function_name=self.name,
            function_type=self.definition.function_type or api_pb2.Function.FUNCTION_TYPE_FUNCTION,
            definition_id=f"de-{self.id}",
            class_parameter_info=self.definition.class_parameter_info,
            supported_input_formats=formats,
            supported_output_formats=formats,
        )
        for name, method in self.methods.items():
            handle.method_handle_metadata[name].CopyFrom(
                api_pb2.FunctionHandleMetadata(
                    app_id=self.app_id,
                    function_name=method.function_name,
                    function_type=method.function_type,
                    is_method=True,
                    use_method_name=name,
                    definition_id=f"de-{self.id}-{name}",
                    function_schema=method.function_schema,
                    supported_input_formats=method.supported_input_formats,
                    supported_output_formats=method.supported_output_formats,
                )
            )
        return handle


@dataclass
class App:
    """An app, deployed once it is in `Objects.deployed`."""

    id: str
    description: str
    layout: api_pb2.AppLayout = field(default_factory=api_pb2.AppLayout)


class Objects:
    """The RPCs of `modal deploy` and of looking things up, kept in dictionaries by id."""

    def __init__(self, materials: Materials, journal: Journal) -> None:
        self._materials = materials
        self._journal = journal
        self.workspace = "loopback"  # that the token is of
        self.apps: dict[str, App] = {}
        self.deployed: dict[str, str] = {}  # name -> app id
        self.functions: dict[str, Function] = {}

    # Who is asking, and of what.

    async def ClientHello(self, request: Empty) -> api_pb2.ClientHelloResponse:
        return api_pb2.ClientHelloResponse(image_builder_version=BUILDER_VERSION)

    async def TokenInfoGet(self, request: api_pb2.TokenInfoGetRequest) -> api_pb2.TokenInfoGetResponse:
        return api_pb2.TokenInfoGetResponse(
            token_id="ak-loopback", workspace_id=f"ws-{self.workspace}", workspace_name=self.workspace
        )

    async def WorkspaceNameLookup(self, request: Empty) -> api_pb2.WorkspaceNameLookupResponse:
        return api_pb2.WorkspaceNameLookupResponse(workspace_name=self.workspace, username=self.workspace)

    async def EnvironmentGetOrCreate(
        self, request: api_pb2.EnvironmentGetOrCreateRequest
    ) -> api_pb2.EnvironmentGetOrCreateResponse:
        name = request.deployment_name or "main"
        require_environment(name)
        settings = api_pb2.EnvironmentSettings(image_builder_version=BUILDER_VERSION)
        metadata = api_pb2.EnvironmentMetadata(name=name, settings=settings)
        return api_pb2.EnvironmentGetOrCreateResponse(environment_id=f"en-{name}", metadata=metadata)

    # Apps.

    async def AppGetByDeploymentName(
        self, request: api_pb2.AppGetByDeploymentNameRequest
    ) -> api_pb2.AppGetByDeploymentNameResponse:
        return api_pb2.AppGetByDeploymentNameResponse(app_id=self.deployed.get(request.name, ""))

    async def AppCreate(self, request: api_pb2.AppCreateRequest) -> api_pb2.AppCreateResponse:
        app = App(new_id("ap"), request.description)
        self.apps[app.id] = app
        url = f"http://127.0.0.1/apps/{app.id}"
        return api_pb2.AppCreateResponse(app_id=app.id, app_page_url=url, app_logs_url=url)

    async def AppGetLayout(self, request: api_pb2.AppGetLayoutRequest) -> api_pb2.AppGetLayoutResponse:
        return api_pb2.AppGetLayoutResponse(app_layout=self.layout(self._app(request.app_id)))

    async def AppHeartbeat(self, request: api_pb2.AppHeartbeatRequest) -> Empty:
        return Empty()

    async def AppClientDisconnect(self, request: api_pb2.AppClientDisconnectRequest) -> Empty:
        return Empty()

    async def AppPublish(self, request: api_pb2.AppPublishRequest) -> api_pb2.AppPublishResponse:
        app = self._app(request.app_id)
        app.layout = api_pb2.AppLayout(function_ids=request.function_ids, class_ids=request.class_ids)
        self.deployed[request.name] = app.id
        self._journal.write("deploy", app=request.name, classes=sorted(request.class_ids))
        return api_pb2.AppPublishResponse(url=f"http://127.0.0.1/apps/{app.id}", deployed_at=time.time())

    async def AppStop(self, request: api_pb2.AppStopRequest) -> Empty:
        self.deployed = {name: id_ for name, id_ in self.deployed.items() if id_ != request.app_id}
        return Empty()

    def layout(self, app: App) -> api_pb2.AppLayout:
        """The app's functions, classes and what they depend on, as a container wants to know them."""
        layout = api_pb2.AppLayout()
        layout.CopyFrom(app.layout)
        for class_id in layout.class_ids.values():
            layout.objects.add(object_id=class_id, class_handle_metadata=api_pb2.ClassHandleMetadata())
        wanted: set[str] = set()
        for function_id in layout.function_ids.values():
            function = self.functions[function_id]
            layout.objects.add(object_id=function_id, function_handle_metadata=function.metadata())
            wanted.update(dep.object_id for dep in function.definition.object_dependencies)
        for object_id in sorted(wanted):
            layout.objects.add(object_id=object_id, volume_metadata=self._materials.volume(object_id))
        return layout

    # Functions and classes.

    async def FunctionPrecreate(
        self, request: api_pb2.FunctionPrecreateRequest
    ) -> api_pb2.FunctionPrecreateResponse:
        function_id = request.existing_function_id or new_id("fu")
        function = self.functions.setdefault(
            function_id, Function(function_id, request.app_id, request.function_name)
        )
        function.methods = dict(request.method_definitions)
        return api_pb2.FunctionPrecreateResponse(function_id=function_id, handle_metadata=function.metadata())

    async def FunctionCreate(self, request: api_pb2.FunctionCreateRequest) -> api_pb2.FunctionCreateResponse:
        ranked = request.function_data.ranked_functions
        definition = ranked[0].function if ranked else request.function
        function_id = request.existing_function_id or new_id("fu")
        function = self.functions.setdefault(
            function_id, Function(function_id, request.app_id, definition.function_name)
        )
        function.definition = definition
        function.methods = dict(definition.method_definitions)
        function.data = request.function_data if ranked else function_data(definition)
        return api_pb2.FunctionCreateResponse(
            function_id=function_id, handle_metadata=function.metadata(), function_data=function.data
        )

    async def ClassCreate(self, request: api_pb2.ClassCreateRequest) -> api_pb2.ClassCreateResponse:
        class_id = request.existing_class_id or new_id("cs")
        return api_pb2.ClassCreateResponse(class_id=class_id, handle_metadata=api_pb2.ClassHandleMetadata())

    async def ClassGet(self, request: api_pb2.ClassGetRequest) -> api_pb2.ClassGetResponse:
        require_environment(request.environment_name)
        app = self._deployed(request.app_name)
        if request.object_tag not in app.layout.class_ids:
            raise GRPCError(Status.NOT_FOUND, f"no class {request.object_tag!r} in app {request.app_name!r}")
        return api_pb2.ClassGetResponse(
            class_id=app.layout.class_ids[request.object_tag],
            handle_metadata=api_pb2.ClassHandleMetadata(),
        )

    async def FunctionGet(self, request: api_pb2.FunctionGetRequest) -> api_pb2.FunctionGetResponse:
        require_environment(request.environment_name)
        app = self._deployed(request.app_name)
        function = self.functions.get(app.layout.function_ids.get(request.object_tag, ""))
        if function is None:
            raise GRPCError(
                Status.NOT_FOUND, f"no function {request.object_tag!r} in app {request.app_name!r}"
            )
        return api_pb2.FunctionGetResponse(
            function_id=function.id, handle_metadata=function.metadata(), function=function.data
        )

    async def FunctionGetById(
        self, request: api_pb2.FunctionGetByIdRequest
    ) -> api_pb2.FunctionGetByIdResponse:
        function = self.function(request.function_id)
        return api_pb2.FunctionGetByIdResponse(handle_metadata=function.metadata(), function=function.data)

    def serve(
        self,
        app_name: str,
        class_name: str,
        methods: tuple[str, ...],
        region: str,
        gpu: tuple[str, int] | None = None,
    ) -> None:
        """A class as if deployed, without any code of its own."""
        app_id = self.deployed.setdefault(app_name, new_id("ap"))
        app = self.apps.setdefault(app_id, App(app_id, app_name))
        definition = api_pb2.Function(
            function_name=f"{class_name}.*",
            function_type=api_pb2.Function.FUNCTION_TYPE_FUNCTION,
            is_class=True,
            method_definitions_set=True,
            scheduler_placement=api_pb2.SchedulerPlacement(regions=[region]),
        )
        if gpu is not None:
            definition.resources.gpu_config.CopyFrom(api_pb2.GPUConfig(gpu_type=gpu[0], count=gpu[1]))
        for method in methods:
            definition.method_definitions[method].CopyFrom(
                api_pb2.MethodDefinition(
                    function_name=f"{class_name}.{method}",
                    function_type=api_pb2.Function.FUNCTION_TYPE_FUNCTION,
                    supported_input_formats=[api_pb2.DATA_FORMAT_PICKLE, api_pb2.DATA_FORMAT_CBOR],
                    supported_output_formats=[api_pb2.DATA_FORMAT_PICKLE, api_pb2.DATA_FORMAT_CBOR],
                )
            )
        function = Function(new_id("fu"), app_id, definition.function_name)
        function.definition, function.data = definition, function_data(definition)
        function.methods = dict(definition.method_definitions)
        self.functions[function.id] = function
        app.layout.function_ids[function.name] = function.id
        app.layout.class_ids[class_name] = new_id("cs")

    def function(self, function_id: str) -> Function:
        """The function of this id. Raises GRPCError NOT_FOUND."""
        if function_id not in self.functions:
            raise GRPCError(Status.NOT_FOUND, f"no function {function_id}")
        return self.functions[function_id]

    def app_of(self, function: Function) -> App:
        return self._app(function.app_id)

    def _app(self, app_id: str) -> App:
        if app_id not in self.apps:
            raise GRPCError(Status.NOT_FOUND, f"no app {app_id}")
        return self.apps[app_id]

    def _deployed(self, name: str) -> App:
        if name not in self.deployed:
            raise GRPCError(Status.NOT_FOUND, f"no app {name!r} is deployed")
        return self.apps[self.deployed[name]]


def function_data(definition: api_pb2.Function) -> api_pb2.FunctionData:
    """A definition in the shape in which the SDK reads it back, with one choice of GPU."""
    data = api_pb2.FunctionData(
        module_name=definition.module_name,
        function_name=definition.function_name,
        function_type=definition.function_type,
        timeout_secs=definition.timeout_secs,
        autoscaler_settings=definition.autoscaler_settings,
        is_class=definition.is_class,
        class_parameter_info=definition.class_parameter_info,
        method_definitions_set=True,
    )
    for name, method in definition.method_definitions.items():
        data.method_definitions[name].CopyFrom(method)
    data.ranked_functions.add(rank=0, function=definition)
    return data
