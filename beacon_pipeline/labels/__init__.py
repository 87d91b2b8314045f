"""What kind of answer a text is: by rules, by people, by a judge model; and how far they agree.

All but `work`, which reads and writes the ledger, is pure.
"""
