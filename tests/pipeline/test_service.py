"""The configuration is read as people write it, and all that is wrong with it is said at once."""

import json

import pytest

from delineate.errors import RecordError
from delineate.pipeline.service import Retry, check_service, read_service

GOOD = """
queue = "queue"
send_to = ["pacs"]

[archives.pacs]
address = "https://pacs.example/dicom-web"
credentials = "pacs.secret"

[receive]
port = 11112
callers = ["ORTHANC"]

[[rules]]
name = "balls"
model = "model"
match.modality = ["MR"]
"""


def write(folder, text):
    (folder / "listen.toml").write_text(text)
    return folder / "listen.toml"


def test_files_lie_beside_the_configuration(tmp_path):
    service = read_service(write(tmp_path, GOOD))
    assert service.queue == tmp_path / "queue"
    assert service.rules[0].model == tmp_path / "model"
    assert service.archives["pacs"].credentials == tmp_path / "pacs.secret"
    assert service.audit_log == tmp_path / "queue" / "audit.jsonl"
    assert service.receive.host == "127.0.0.1"
    elsewhere = read_service(write(tmp_path, 'audit = "log.jsonl"' + GOOD))
    assert elsewhere.audit_log == tmp_path / "log.jsonl"


def test_json_says_the_same(tmp_path):
    import tomllib

    (tmp_path / "listen.json").write_text(json.dumps(tomllib.loads(GOOD)))
    assert read_service(tmp_path / "listen.json") == read_service(write(tmp_path, GOOD))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[archives.pacs]", "[archives.other]"), "archives has no pacs; it has other"),
        (
            ('[receive]\nport = 11112\ncallers = ["ORTHANC"]', ""),
            "nothing comes in; say receive, poll or both",
        ),
        (('send_to = ["pacs"]', ""), "results of balls go nowhere; say send_to"),
        (("[receive]", "[received]"), "received: Extra inputs are not permitted"),
        (("match.modality", "match.modalities"), r"rules\[0\].match.modalities: Extra inputs"),
        (("port = 11112", 'port = "a"'), "receive.port: Input should be a valid integer"),
        (("https://pacs.example", "pacs.example"), "archives.pacs.address: .*is no address of an archive"),
        (('name = "balls"', "name = "), "is no TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, message):
    with pytest.raises(RecordError, match=message):
        read_service(write(tmp_path, GOOD.replace(*change)))


def test_two_rules_of_one_name_are_refused(tmp_path):
    again = GOOD[GOOD.index("[[rules]]") :]
    with pytest.raises(RecordError, match="several rules are called balls"):
        read_service(write(tmp_path, GOOD + again))


def test_a_node_that_is_asked_sends_to_us(tmp_path):
    text = GOOD.replace("https://pacs.example/dicom-web", "PACS@127.0.0.1:104").replace(
        '[receive]\nport = 11112\ncallers = ["ORTHANC"]', '[[poll]]\narchive = "pacs"'
    )
    with pytest.raises(RecordError, match=r"pacs sends what it is asked for \(C-MOVE\): say receive too"):
        read_service(write(tmp_path, text))


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(RecordError, match="cannot be read: No such file"):
        read_service(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match="cannot be read: it is no text"):
        read_service(tmp_path / "a.toml")


def test_models_are_opened_before_anything_is_taken_in(tmp_path, finished):
    with pytest.raises(RecordError, match=r"rule balls: .*model"):
        check_service(read_service(write(tmp_path, GOOD)))
    ours = GOOD.replace('"model"', f'"{finished / "model"}"')
    with pytest.raises(
        RecordError, match="rule balls: 'large ball': no such structure in the table of codes"
    ):
        check_service(read_service(write(tmp_path, ours)))
    (tmp_path / "codes.csv").write_text(CODES)
    coded = ours + 'codes = "codes.csv"\n'
    check_service(read_service(write(tmp_path, coded)))
    several = coded + '[rules.channels.A]\nseries = ["a"]\n[rules.channels.B]\nseries = ["b"]\n'
    with pytest.raises(RecordError, match="the model reads one channel, the rule names A, B"):
        check_service(read_service(write(tmp_path, several)))


CODES = """name,synonyms,category,code,meaning,sides,region,color,role
large ball,,concept,99PHANTOM:1,Large ball,,,aa0000,
small ball,,concept,99PHANTOM:2,Small ball,,,00aa00,
"""


def test_waits_double_up_to_the_longest():
    retry = Retry(wait_s=10, longest_s=100)
    assert [retry.wait(n) for n in (1, 2, 3, 4, 5, 500)] == [10, 20, 40, 80, 100, 100]
