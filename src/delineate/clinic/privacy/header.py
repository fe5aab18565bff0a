"""Header: what the table says is done to every element of a DICOM object, at any depth.

Elements that the table does not name are no free pass: names of persons are emptied, dates treated as dates,
UIDs of things mapped, texts cleaned, private and unknown elements removed. What is left are numbers, codes
and pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, MutableSequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from delineate import __version__
from delineate.clinic.privacy.dates import DUMMIES, shifted
from delineate.clinic.privacy.keys import DICOM_ROOT, Key
from delineate.clinic.privacy.known import Known
from delineate.clinic.privacy.table import CODES, EDITION, Action, Profile, safe_private
from delineate.clinic.privacy.texts import Cleaner

TEXTS = ("AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT")
DATES = ("DA", "DT", "TM")
BYTES = ("OB", "OW", "OD", "OF", "OL", "OV", "UN")
NUMBERS_AS_TEXT = ("DS", "IS")
SAFE_VR = ("CS", "DS", "FD", "FL", "IS", "SL", "SS", "UL", "US")  # of private elements that may stay
OURS = {"PatientName", "PatientID", "ClinicalTrialSubjectID"}  # carry the pseudonym
STEPS = (0x00080082, 0x00081111)  # InstitutionCodeSequence, ReferencedPerformedProcedureStepSequence
LEAST_NUMBER = 6  # digits of an identifier that is looked for in numbers
GONE = "REMOVED"  # a text that has to be there
OLDEST = 89  # years; older people are few: 45 CFR 164.514 (b)(2)(i)(C)
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

# UIDs that name a kind of thing, a code or a maker, not a thing. PS3.6 A.
KINDS = (
    "SOPClassUID", "TransferSyntaxUID", "CodingSchemeUID", "ContextUID", "MappingResourceUID",
    "ContextGroupExtensionCreatorUID", "ImplementationClassUID", "SpecificSOPClassUID",
)  # fmt: skip
CODED = ("CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "LongCodeValue", "URNCodeValue")
PAGES = b"2 0 obj<</Type/Pages/Count 0/Kids[]>>endobj\n%%EOF\n"
EMPTY_PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n" + PAGES
METHOD = f"delineate {__version__}, PS3.15 {EDITION} Table E.1-1"


@dataclass(frozen=True)
class Rules:
    """How the objects of one patient are treated.

    pseudonym  stands for the patient's name and ID
    days       by which dates move under the option of modified dates
    known      what to look for in the texts that stay
    """

    key: Key
    profile: Profile
    pseudonym: str
    days: int
    known: Known

    @property
    def cleaner(self) -> Cleaner:
        """How texts are cleaned."""
        return Cleaner(None if "uids" in self.profile.options else self.key, self.known)


@dataclass
class Tally:
    """What was done, by attribute and action: names of attributes, never their values."""

    actions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, element: DataElement, action: str) -> None:
        """Counts an action on an element."""
        if element.tag.is_private:
            self.actions["private elements", action] += 1
        else:
            self.actions[element.keyword or str(element.tag), action] += 1


def deidentified(content: Dataset, rules: Rules, tally: Tally) -> None:
    """Takes identity out of a data set, in place, and writes into it that this was done."""
    _treat(content, rules, tally)
    _mark(content, rules)


def _treat(content: Dataset, rules: Rules, tally: Tally) -> None:
    safe = _safe_private(content) if "private" in rules.profile.options else set()
    for tag in list(content.keys()):
        if tag.element == 0:  # the length of a group, long retired, and wrong from here on
            del content[tag]
            continue
        element = content[tag]
        if tag.is_private:
            if tag not in safe:
                tally.note(element, "X")
                del content[tag]
            continue
        action = _action(element, rules.profile)
        if tag in STEPS and action == "Z" and "Rows" in content:
            action = (
                "X"  # of X/Z/D: in images such a sequence has items or is not there, in documents it must be
            )
        tally.note(element, action)
        _apply(content, element, action, rules, tally)


def _safe_private(content: Dataset) -> set[Any]:
    """Private elements that may stay, and the creators of their blocks."""
    kept = set()
    for element in list(content):
        tag = element.tag
        if tag.is_private and not tag.is_private_creator and element.VR in SAFE_VR:
            creator = content.get((tag.group, tag.element >> 8))
            if creator is not None and (str(creator.value), tag.group, tag.element & 0xFF) in safe_private():
                kept |= {tag, creator.tag}
    return kept


def _action(element: DataElement, profile: Profile) -> str:
    """The action of the table, or for what it does not name, one by the kind of value: see `_unnamed`."""
    tag = element.tag
    action = profile.action(int(tag), element.VR)
    if tag.group >> 8 == 0x50:  # curves are long retired, and may hold labels: never kept
        return "X"
    if tag.group >> 8 == 0x60 and action is None:  # what describes an overlay goes with its picture
        action = profile.action(tag.group << 16 | 0x3000, "OW")
    return action or _unnamed(element, profile)


def _unnamed(element: DataElement, profile: Profile) -> Action:
    vr = element.VR
    if not dictionary_has_tag(element.tag) and vr in ("UN", "OB"):
        return "X"
    if vr == "PN":
        return "Z"
    if vr == "UI":
        return "K" if is_kind(element.keyword) or "uids" in profile.options else "U"
    if vr in DATES:
        return profile.action(0x00080023, vr) or "D"  # as ContentDate
    if vr == "UN":
        return "X"
    return "C" if vr in TEXTS or vr == "SQ" or vr in BYTES or vr in NUMBERS_AS_TEXT else "K"


def is_kind(keyword: str) -> bool:
    """Whether a UID of this name says what a thing is, and not which."""
    return keyword.endswith(KINDS) or keyword == "SOPClassesInStudy" or "SOPClass" in keyword


def _apply(content: Dataset, element: DataElement, action: str, rules: Rules, tally: Tally) -> None:
    if element.VR == "SQ" and action in ("U", "K", "C"):
        for item in element.value:
            _treat(item, rules, tally)
        return
    match action:
        case "X":
            del content[element.tag]
        case "Z":
            element.value = _zero(element, rules)
        case "D":
            content[element.tag] = _dummy(element, rules, tally)
        case "U":
            if element.VR == "UI":
                element.value = _each(element.value, rules.key.uid)
        case "C":
            _clean(content, element, rules, tally)
        case "K":
            _keep(element, rules)


def _zero(element: DataElement, rules: Rules) -> Any:
    if element.VR == "SQ":
        return []
    return rules.pseudonym if element.keyword in OURS else None


def _dummy(element: DataElement, rules: Rules, tally: Tally) -> DataElement:
    """The element with a value that says nothing."""
    vr, value = element.VR, element.value
    if vr == "SQ":
        items = [_dummied(item, rules, tally) for item in value]
        return DataElement(element.tag, vr, Sequence(items))
    if element.is_empty and element.keyword not in OURS:
        return element
    dummy: Any
    if element.keyword in OURS:
        dummy = rules.pseudonym
    elif element.keyword == "EncapsulatedDocument":
        dummy = EMPTY_PDF + b"\0" * (len(EMPTY_PDF) % 2)
    elif vr == "UI":
        dummy = _each(value, rules.key.uid)
    elif vr in DATES:
        dummy = DUMMIES[vr]
    elif vr == "AS":
        dummy = "000Y"
    elif vr in BYTES:
        dummy = b"\0\0"
    elif vr in TEXTS or vr == "PN":
        dummy = GONE
    else:
        dummy = 0
    return DataElement(element.tag, vr, dummy)


def _dummied(item: Dataset, rules: Rules, tally: Tally) -> Dataset:
    """An item whose structure and codes stay and whose free values say nothing."""
    _treat(item, rules, tally)
    _hollow(item, rules, tally)
    return item


def _hollow(item: Dataset, rules: Rules, tally: Tally) -> None:
    """Puts dummies in the place of free values, in place; what is treated already is not treated again."""
    for element in list(item):
        if element.VR == "SQ":
            for inner in element.value:
                _hollow(inner, rules, tally)
        elif element.VR in ("LT", "PN", "ST", "UC", "UR", "UT", *DATES, *BYTES) and not element.is_empty:
            item[element.tag] = _dummy(element, rules, tally)


def _clean(content: Dataset, element: DataElement, rules: Rules, tally: Tally) -> None:
    vr = element.VR
    if vr in DATES:
        moved = [shifted(str(value), vr, rules.days) for value in values_of(element.value)]
        if None in moved:  # no date: nobody knows what it says
            content[element.tag] = _dummy(element, rules, tally)
        else:
            element.value = moved if len(moved) > 1 else "".join(str(part) for part in moved)
    elif vr in NUMBERS_AS_TEXT:
        if any(is_number_of(rules.known, str(value)) for value in values_of(element.value)):
            element.value = None
    elif vr == "CS" or element.keyword in CODED:
        kept = _each(element.value, lambda text: "" if any(True for _ in rules.known.spans(text)) else text)
        element.value = kept if any(values_of(kept)) or element.is_empty else GONE
    elif vr in TEXTS:
        _clean_text(element, rules)
    elif vr == "PN":
        element.value = None
    elif vr in BYTES and element.keyword not in PIXELS and _names_somebody(element.value, rules.known):
        del content[element.tag]


def is_number_of(known: Known, text: str) -> bool:
    """Whether a number is that of a patient: short ones are sizes and counts like others."""
    return sum(sign.isdigit() for sign in text) >= LEAST_NUMBER and any(True for _ in known.spans(text))


def _clean_text(element: DataElement, rules: Rules) -> None:
    cleaned = _each(element.value, rules.cleaner.cleaned)
    empty = not any(values_of(cleaned)) and any(values_of(element.value))
    element.value = GONE if empty and element.VR != "AE" else cleaned


def _names_somebody(value: Any, known: Known) -> bool:
    if not isinstance(value, bytes) or len(value) > 1 << 16:  # tables of numbers are longer than texts
        return False
    return any(True for _ in known.spans(value.replace(b"\0", b"").decode("latin-1")))


def _keep(element: DataElement, rules: Rules) -> None:
    """What an option retains stays as it is, but for the names of people in it."""
    if element.keyword == "PatientAge":
        element.value = capped(str(element.value or "")) or None
    elif element.VR in TEXTS and element.VR != "CS":
        element.value = _each(element.value, rules.cleaner.without_known)


def capped(age: str) -> str:
    """An age as DICOM writes it, 90 years where it is more."""
    years = age.strip()[:-1]
    if age.strip().endswith("Y") and years.isdigit() and int(years) > OLDEST:
        return f"{OLDEST + 1:03d}Y"
    return age


def values_of(value: Any) -> list[Any]:
    """The values of an element, one or many; a name of a person is one."""
    if value is None:
        return []
    return list(value) if isinstance(value, MutableSequence) else [value]


def _each(value: Any, change: Any) -> Any:
    """A value with each of its parts changed as text."""
    parts = [change(str(part)) for part in values_of(value)]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else parts


# What is written into the object: PS3.15 E.1.1 and E.3


def _mark(content: Dataset, rules: Rules) -> None:
    content.PatientName = rules.pseudonym
    content.PatientID = rules.pseudonym
    content.PatientIdentityRemoved = "YES"
    options = rules.profile.options
    names = ["Basic Profile", *(CODES[name][1].removesuffix(" Option") for name in options)]
    content.DeidentificationMethod = [METHOD, *(name[:64] for name in names)]
    content.DeidentificationMethodCodeSequence = [code(name) for name in ("basic", *options)]
    content.LongitudinalTemporalInformationModified = (
        "UNMODIFIED" if "full_dates" in options else "MODIFIED" if "modified_dates" in options else "REMOVED"
    )


def code(name: str) -> Dataset:
    """A code of PS3.16 CID 7050."""
    item = Dataset()
    item.CodeValue, item.CodeMeaning = CODES[name]
    item.CodingSchemeDesignator = "DCM"
    return item


def add_method(content: Dataset, name: str) -> None:
    """Notes in an object that its pixels, or its faces, were cleaned too."""
    content.DeidentificationMethod = [*content.DeidentificationMethod, CODES[name][1].removesuffix(" Option")]
    content.DeidentificationMethodCodeSequence.append(code(name))


def name_itself(content: Dataset, key: Key, otherwise: str) -> bool:
    """Gives an object the UIDs that its meta information has and it lacks; whether its kind is known then.

    An object without any UID gets one that is computed from `otherwise`.
    """
    old = content.file_meta
    if not content.get("SOPClassUID"):
        content.SOPClassUID = old.get("MediaStorageSOPClassUID", "")
    if not content.get("SOPInstanceUID"):
        content.SOPInstanceUID = key.uid(str(old.get("MediaStorageSOPInstanceUID") or otherwise))
    return bool(content.SOPClassUID)


def new_meta(content: Dataset) -> FileMetaDataset:
    """Meta information made anew: that of the input names the station and the software that sent it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = content.get("SOPClassUID", "")
    meta.MediaStorageSOPInstanceUID = content.get("SOPInstanceUID", "")
    syntax = content.file_meta.get("TransferSyntaxUID", "")
    as_it_is = syntax == ExplicitVRBigEndian or getattr(syntax, "is_encapsulated", False)
    meta.TransferSyntaxUID = syntax if as_it_is else ExplicitVRLittleEndian
    return meta


def walk(content: Dataset) -> Iterator[DataElement]:
    """Every element of a data set, at any depth."""
    for element in content:
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from walk(item)


def things(content: Dataset) -> Iterator[str]:
    """UIDs that name things (images, series, frames of reference, devices), at any depth."""
    for element in walk(content):
        if element.VR == "UI" and not is_kind(element.keyword):
            for value in values_of(element.value):
                if str(value) and not str(value).startswith(DICOM_ROOT):
                    yield str(value)
