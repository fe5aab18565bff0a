from delineate.progress import Progress, silent


def test_silence_says_nothing(capsys):
    watch: Progress = silent
    watch(1, 3, "case_001")
    assert capsys.readouterr() == ("", "")


def test_whoever_watches_gets_every_call():
    seen = []

    def watch(done: int, total: int, what: str) -> None:
        seen.append((done, total, what))

    def work(progress: Progress = silent) -> None:
        for n in range(2):
            progress(n + 1, 2, f"case_{n}")

    work(watch)
    work()
    assert seen == [(1, 2, "case_0"), (2, 2, "case_1")]
