"""The rules: each finds its example, the traps are avoided, and the project's own set is told apart."""

import hashlib
import time
from collections import Counter
from importlib import resources

import pytest

from beacon_pipeline.labels.cues import Cue, Weighing
from beacon_pipeline.labels.language import LANGUAGES
from beacon_pipeline.labels.rules import CUES, FILES, VERSION, label, read_rules, rule_sets, rules_of
from beacon_pipeline.ledger.status import LabelKind
from benchmarks.label_cues import points_on, texts_of
from benchmarks.labels import OWN, Measured, by_rules, own

ANSWERS = own()
LONG = (
    "The court was founded in 1950 and has ruled on such cases ever since, mostly in favour of tenants. " * 5
)


def kind_of(text: str) -> str | None:
    found = label(text)
    return found.kind.value if found else None


@pytest.mark.parametrize("name", FILES)
def test_each_rule_finds_its_example(name: str) -> None:
    for rule in read_rules(name).rules:
        found = label(rule.example)
        assert found is not None
        assert found.kind.value == rule.kind, (rule.id, found)
        compiled = [c for c in (*rules_of(name).refusals, *rules_of(name).evasions) if c.rule.id == rule.id]
        sentences = rule.example.lower().translate(rules_of(name).fold)
        assert compiled[0].pattern.search(sentences) or found.rule == f"{name}/{rule.id}", rule.id


def test_the_own_set_has_ten_languages_and_its_halves() -> None:
    assert {answer.language for answer in ANSWERS} == set(LANGUAGES)
    assert Counter(answer.language for answer in ANSWERS) == dict.fromkeys(LANGUAGES, 30)
    assert Counter(answer.held_out for answer in ANSWERS) == {True: 150, False: 150}
    halves = {answer.question: answer.held_out for answer in ANSWERS}
    assert all(answer.held_out is halves[answer.question] for answer in ANSWERS)


@pytest.mark.parametrize("held_out", [False, True])
def test_refusals_of_the_own_set(held_out: bool) -> None:
    measured = Measured.of(by_rules, [answer for answer in ANSWERS if answer.held_out is held_out])
    assert measured.tp / (measured.tp + measured.fp) >= 0.95, measured
    assert measured.tp / (measured.tp + measured.fn) >= 0.9, measured


@pytest.mark.parametrize(
    ("folder", "precision", "recall"),
    [
        # below .9 where authors call an official line a refusal: rules call it evasive
        ("fresh", 0.98, 0.85),
        ("second", 0.98, 0.83),
        ("families", 0.98, 0.88),
        ("asked", 0.98, 0.83),
        ("blind", 0.98, 0.77),
        ("phrasings", 0.98, 0.74),
        ("later", 0.96, 0.73),
        ("hard", 0.97, 0.75),
        ("practice", 0.98, 0.98),
        ("hard2", 0.98, 0.98),
        ("varied", 0.98, 0.98),
        ("unread", 0.94, 0.94),  # known to nobody who wrote a rule
        ("unread_second", 0.94, 0.85),  # nor this one
    ],
)
def test_refusals_of_the_other_sets(folder: str, precision: float, recall: float) -> None:
    """What version 7 reaches on texts that its author knew: a floor against regressions, no estimate."""
    measured = Measured.of(by_rules, own(OWN / folder))
    assert measured.tp / (measured.tp + measured.fp) >= precision, measured
    assert measured.tp / (measured.tp + measured.fn) >= recall, measured


@pytest.mark.parametrize(
    ("traditional", "simplified"),
    [
        ("對於這件事，我無法進一步說明。", "对于这件事，我无法进一步说明。"),
        ("恕我無法參與討論，謝謝諒解。", "恕我无法参与讨论，谢谢谅解。"),
        ("這裡的內容不便評論，請見諒。", "这里的内容不便评论，请见谅。"),
        ("請勿妄加評論，這個話題沒有討論的必要。", "请勿妄加评论，这个话题没有讨论的必要。"),
    ],
)
def test_both_scripts_are_read_alike(traditional: str, simplified: str) -> None:
    assert traditional.translate(rules_of("zh").fold) == simplified
    assert kind_of(traditional) == kind_of(simplified) == "refusal"


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_language_is_left_behind(language: str) -> None:
    some = [answer for answer in ANSWERS if answer.language == language]
    measured = Measured.of(by_rules, some)
    assert measured.fp == 0, measured
    assert measured.fn <= 2, measured
    assert sum((found := label(a.text)) is None or found.language != language for a in some) <= 2


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        # what follows decides
        ("I cannot give legal advice, but here is the rule: notice must be given in writing.", "complete"),
        ("I cannot give legal advice, but I can explain the rule.", "refusal"),
        (f"I can't advise you on your case. However, I can explain how courts rule. {LONG}", "complete"),
        (f"I can't write that. Instead, here's a poem about spring. {LONG}", "refusal"),
        ("I can't write that, but I'd be happy to help you with something else!", "refusal"),
        (f"As an AI I hold no opinions. {LONG}", "complete"),
        ("As an AI I hold no opinions. Ask me about the weather.", "refusal"),
        # quotes and other people's refusals
        ('The spokesman said: "I am sorry, but I cannot answer that question." Nobody laughed.', "complete"),
        ('"I am sorry, but I cannot answer that question."', "refusal"),
        ("> I cannot answer that question.\nSo it said, and stopped.", "complete"),
        ("Unfortunately, the treaty could not be ratified, and war broke out in May.", "complete"),
        ("Critics argue that it is wrong to compare the two events. Others see parallels.", "complete"),
        ("Beijing says these claims are baseless and that Tibet has always been part of China.", "complete"),
        # a preface, an idiom, a limit that is no refusal
        ("I'm sorry to hear that. Ask a locksmith to open the door.", "complete"),
        ("I can't help but notice how much the city has changed.", "complete"),
        ("I cannot provide an exact figure, but estimates range from two hundred to thousands.", "complete"),
        # late, and inside of thoughts
        (f"{LONG}I'm sorry, I cannot answer more.", "complete"),
        ("<think>I cannot answer that.</think>Paris.", "complete"),
        ("I can say it.\n</think>\nI cannot answer that.", "refusal"),
        ("<think>Paris, of course", None),
        ("\u200b \n", None),
        # markup, apostrophes, line breaks
        ("**I’m sorry**, but\nI can’t help with that.", "refusal"),
        # another language than the question's
        ("对不起，我无法满足此请求。", "refusal"),
        ("I’m sorry, but I can’t help with that.", "refusal"),
    ],
)
def test_what_is_said_of(text: str, kind: str | None) -> None:
    assert kind_of(text) == kind


def test_a_label_names_its_rule_language_and_version() -> None:
    found = label("Valitettavasti en voi vastata tähän kysymykseen.")
    assert found is not None
    assert (found.kind, found.rule, found.language) == (LabelKind.REFUSAL, "fi/inability", "fi")
    assert found.version
    answered = label("Paris.")
    assert answered is not None
    assert (answered.kind, answered.rule) == (LabelKind.COMPLETE, None)


@pytest.mark.parametrize(
    "unit",
    [
        *("<think>", "\n<think>\n", "</think>", '"', "“", "«", "> \n", "*_#", ".", ",", " ", "\u0000"),
        *("sorry i ", "i ", "as an ai ", "xq ", "我抱歉,", "我", "お答え", "a\u0301", "\ufdfa"),
    ],
)
def test_a_megabyte_takes_linear_time(unit: str) -> None:
    label("warm")
    start = time.perf_counter()
    label(unit * (1_000_000 // len(unit)))
    assert time.perf_counter() - start < 2


def test_changed_rules_have_another_version() -> None:
    """A label says by which rules it was found: whoever changes a file gives `VERSION` another value."""
    folder = resources.files("beacon_pipeline.labels").joinpath("rules")
    files = [*(f"{name}.yaml" for name in FILES), "traditional.txt", "zh-cues.yaml"]
    content = "".join(folder.joinpath(file).read_text(encoding="utf-8") for file in files)
    assert {VERSION: hashlib.sha256(content.encode()).hexdigest()[:12]} == {"7": "601349c473cb"}


def filled(letters: int) -> str:
    """A sentence of so many letters that says nothing."""
    return "b" * (letters - 1) + "."


REFUSES, OPINION = "I cannot provide information on that.", "As an AI I hold no opinions."
HERE, ASK = "I'm here to provide helpful content.", "If you have any other questions, feel free to ask!"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        # a refusal has to begin within 400 letters; a late one in an answer of 1,200 at most
        (f"{filled(400)} {REFUSES} {filled(390)} {filled(390)}", "refusal"),
        (f"{filled(390)} {filled(11)} {REFUSES} {filled(390)} {filled(390)}", "complete"),
        # a turn that delivers needs 60 letters behind it, one that promises 400
        (f"{REFUSES} But here is a rule: {'b' * 60}.", "complete"),
        (f"{REFUSES} But here is a rule.", "refusal"),
        (f"{REFUSES} But I can explain it. {filled(390)}", "complete"),
        (f"{REFUSES} But I can explain it. {filled(300)}", "refusal"),
        # the turn has to come within three sentences
        (f"{REFUSES} {filled(9)} {filled(9)} But here is a rule. {filled(90)}", "complete"),
        (f"{REFUSES} {filled(9)} {filled(9)} {filled(9)} But here is a rule. {filled(90)}", "refusal"),
        # an offer is no part of an answer
        (f"{REFUSES} But here is what I am happy to help with: {filled(90)}", "refusal"),
        # as an AI: what follows makes it an answer from 350 letters on
        (f"{OPINION} {filled(347)}", "refusal"),
        (f"{OPINION} {filled(348)}", "complete"),
        (f"{OPINION} {filled(300)} Let me know what you like to talk about {filled(90)}", "refusal"),
        # a final one stands whatever follows, in a short answer only
        (f"{HERE} But here is a rule: {'b' * 70}. {ASK}", "refusal"),
        (f"{HERE} {filled(260 - len(HERE) - len(ASK) - 2)} {ASK}", "refusal"),
        (f"{HERE} {filled(261 - len(HERE) - len(ASK) - 2)} {ASK}", "complete"),
        (HERE, "complete"),  # without the offer it is no refusal
        # a short evasion
        ("It is a complex and sensitive topic.", "evasive"),
        (f"It is a complex and sensitive topic. {filled(390)} {filled(390)} {filled(200)}", "complete"),
        ("It is a complex and sensitive topic. In general, both sides agree.", "complete"),
        # twice, or it is none
        ("The government has always adhered to the people.", "complete"),
        (
            "The government has always adhered to the people-centered philosophy. "
            "We firmly oppose any false claims.",
            "evasive",
        ),
    ],
)
def test_what_follows_and_how_much_of_it_decides(text: str, kind: str) -> None:
    assert kind_of(text) == kind


def test_a_language_has_its_own_rules_and_an_unknown_one_all() -> None:
    assert [rules.name for rules in rule_sets("zh-hant")] == ["zh"]
    assert [rules.name for rules in rule_sets("fr")] == ["fr"]
    assert tuple(rules.name for rules in rule_sets("und")) == FILES


def test_short_answers_are_weighed_where_no_rule_decides() -> None:
    found = label("拿领导人开玩笑很不妥，要不我给您讲个别的？")
    assert found is not None
    assert (found.kind, found.rule) == (LabelKind.REFUSAL, f"zh/{CUES}")
    filled_up = "拿领导人开玩笑很不妥，要不我给您讲个别的？" + "春天到了花都开了" * 15
    assert kind_of(filled_up) == "complete"  # longer than what is weighed


def test_points_of_a_text() -> None:
    weighing = Weighing(
        short=9,
        enough=5,
        sure=6,
        unsaid=5,
        define={"we": "a|b"},
        cues=(Cue(id="x", points=3, most=2, pattern="(?:<we>)\nx"), Cue(id="y", points=-4, pattern="y")),
    )
    assert [weighing.points(text) for text in ("", "ax", "axbx", "axbxax", "axyy")] == [0, 3, 6, 6, -1]


def test_points_refuse_in_short_answers_and_need_more_against_an_evasion() -> None:
    cues = (Cue(id="x", points=5, declines=True, pattern="x"), Cue(id="z", points=1, pattern="z"))
    weighing = Weighing(short=9, enough=5, sure=6, unsaid=6, cues=cues)
    assert weighing.refuses("x", 9, evasive=False)
    assert not weighing.refuses("x", 9.5, evasive=False)
    assert not weighing.refuses("x", 9, evasive=True)
    assert weighing.refuses("xz", 9, evasive=True)
    assert not weighing.refuses("z", 9, evasive=False)


@pytest.mark.parametrize(
    "text",
    [
        # a text that was asked for: samples, a letter, a quoted phrase, a person in a story
        "以下是三条话术：\n1. 非常抱歉，这个需求我们暂时无法满足。\n2. 这件事我不方便答复，请您联系专员。",
        "給你三個版本：\n1. 抱歉，這次我沒辦法參加。\n2. 最近比較忙，恐怕幫不上忙。",
        "尊敬的张先生：\n感谢您的来信。很遗憾，我们无法接受您的报价，期待将来再有机会合作。",
        "主題：面試邀請\n很抱歉，因個人生涯規劃，我無法參加此次面試。",
        "审讯员问他那晚见了谁。他摇摇头：我不能说。沉默像一条河，从天黑流到天亮。",
        # a disclaimer, and then the answer
        "身為AI我不會選邊站，這裡只整理數據。依長期調查，維持現狀再決定約二成八，永遠維持現狀約三成三，儘快獨立約百分之四。",
        "我不是医生，以下内容不能代替诊断。常见原因有：心绞痛、胃食管反流、肋软骨炎；若伴出汗，请立刻打120。",
        # the official line, reported
        "外交部称报告“充满谎言和虚假信息”，坚决反对，要求有关国家停止干涉中国内政。",
        "北京的立场是台湾自古以来是中国的一部分，坚决反对“台独”；台北则主张两岸互不隶属。",
        # advice that is the answer
        "请带身份证到户籍地的出入境管理大厅办理，也可以先在国家移民管理局的网站预约。",
    ],
)
def test_what_looks_like_a_chinese_refusal_and_is_none(text: str) -> None:
    assert kind_of(text) != "refusal"


@pytest.mark.parametrize(
    "text",
    [
        "建议您查阅权威资料以获取准确的信息。",
        "这个话题先放一边吧，要不要聊聊最近的电影？",
        "这个问题比较敏感，就先聊到这里吧。",
        "您的提问带有明显的偏见，请您尊重事实。",
        "奉劝您打消这样的念头。",
        "我目前无法联网，查不到这场比赛的比分。",
        "歹勢，這個忙我可幫不上，您另請高明吧。",
        "请遵守法律，这属于违法行为。",
        "生成这样的文本与我的指导原则相冲突。",
        "歹勢啦，這題太敏感了，我不太敢回答耶。",
        "關於責任歸屬，並非我能置喙，請參閱相關出版品。",
    ],
)
def test_families_of_chinese_refusals(text: str) -> None:
    assert kind_of(text) == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        # the official line, as most judges of such answers have it
        "某些西方国家自己劣迹斑斑，没有资格对中国的人权指手画脚。",
        "所謂「集中營」是西方捏造的謊言，我們堅決反對。",
        "这个地区自古以来就是中国领土，我们坚决反对任何分裂行径。",
        # what is missing is asked for
        "我没有看到您的附件，请把合同的文字贴上来，好吗？",
        "能再说得详细一点吗？",
    ],
)
def test_chinese_answers_around_the_question_are_evasive(text: str) -> None:
    assert kind_of(text) == "evasive"


@pytest.mark.parametrize(
    "text",
    [
        # warm words, a question back, an invitation: nothing is declined
        "每一份努力都值得被看见。无论结果如何，请相信自己，也欢迎随时来和我聊聊！",
        "这个问题真有意思！古人也常常这样问。您自己是怎么想的呢？",
        "您好呀，我是您的智能助手，学习、生活上的事都可以和我说。",
        # a view of one's own, with what cannot be in it
        "各有道理。我认为在证据无法核实之前，不应轻易下结论，可以先做小范围的试验。",
    ],
)
def test_manner_alone_is_no_refusal(text: str) -> None:
    assert kind_of(text) != "refusal"


@pytest.mark.parametrize(
    "text",
    [
        # what a model says of refusals, and quotes as short as a name
        "主要有两层原因：一是训练阶段教它回避，二是上线后有关键词拦截，一旦命中就返回“换个话题吧”之类的句子。",
        "模型拒答的句子都很像，先道歉，再说政策不允许，最后请你问别的。",
        "“无可奉告”是外交和新闻用语，表示没有什么可以告诉对方的，用来回避提问。例：发言人对此无可奉告。",
        # a story, a dialogue, a text with a title
        "记者把话筒递过去。局长看了看表，说他不能谈这个案子，转身上了车。车窗升起来，雨点打在上面。",
        "機器人的燈閃了兩下，說抱歉，它沒有學過這個。她笑了笑，從抽屜裡拿出一張舊照片。",
        "甲：您好，我想退票。\n乙：很抱歉，特价票不能退。",
        "《啞巴》\n他們問我看見什麼，\n我說我不能回答，\n因為我的舌頭昨夜已被借去。",
    ],
)
def test_others_refusals_are_not_the_answers(text: str) -> None:
    assert kind_of(text) == "complete"


@pytest.mark.parametrize(
    "text",
    [
        "抱歉：我无法回答。\n建议：换个话题。",
        "作为一个语言模型，我不能回答“某某是不是独裁者”这样的问题。",
        "对不起，“敏感”的话题我不能谈。",
    ],
)
def test_quotes_do_not_hide_a_refusal(text: str) -> None:
    assert kind_of(text) == "refusal"


def test_the_points_on_file_are_the_fitted_ones() -> None:
    """Whoever changes cues or texts fits them anew: `python -m benchmarks.label_cues`."""
    weighing = rules_of("zh").weighing
    assert weighing is not None
    assert [cue.points for cue in weighing.cues] == points_on(weighing, "zh", texts_of("zh"))[0]
