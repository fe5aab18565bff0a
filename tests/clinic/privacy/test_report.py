from delineate.clinic.privacy.report import DeidentifyReport, Done, Held


def test_a_report_reads_as_sentences_and_comes_back_from_json(tmp_path):
    report = DeidentifyReport(
        dry_run=False,
        edition="2026c",
        options=("uids",),
        patients=("P-A", "P-B"),
        read=9,
        written=7,
        resumed=3,
        blanked=2,
        searched=40,
        done=(Done(attribute="PatientName", action="Z", count=7),),
        left_out={".txt (not DICOM, not NIfTI)": 1},
        held=(Held(file="ab", reason="damaged"), Held(file="cd", reason="damaged")),
        notes=("something",),
    )
    assert not report.ok
    assert report.to_markdown().splitlines() == [
        "7 of 9 files written (3 of them by an earlier run), of 2 patient(s)",
        "profile: PS3.15 2026c basic, uids",
        "text blanked in 2 images, faces taken from 0 files",
        "searched for 40 identifiers of the input: none is left",
        "left out: 1 x .txt (not DICOM, not NIfTI)",
        "held back: 2 x damaged",
        "note: something",
        "",
        "| attribute | action | times |",
        "|---|---|---|",
        "| PatientName | Z | 7 |",
    ]
    assert DeidentifyReport.from_json(report.to_json(), where="report.json") == report
