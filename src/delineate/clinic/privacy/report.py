"""Report: what was done to a folder, attribute by attribute, without a word of what stood there."""

from __future__ import annotations

from collections import Counter

from pydantic import Field

from delineate.record import Record


class Done(Record):
    """How often an action was taken on an attribute.

    action  D dummy, Z emptied, X removed, K kept, C cleaned, U mapped (PS3.15 E.3)
    """

    attribute: str
    action: str
    count: int


class Held(Record):
    """A file that was not written.

    file    stands for its path: computed with the key, so that its owner can find it (`--mapping`)
    reason  why, in words that quote nothing from it
    """

    file: str
    reason: str


class DeidentifyReport(Record):
    """What became of a folder.

    patients   their pseudonyms
    read       files that were understood, of which `written` are in the output, now or from an earlier run
    left_out   files of other kinds (by suffix), which are never copied
    held       files that were understood, or should have been, and are not in the output
    searched   identifiers of the input that every output file was searched for; in a dry run none was
    blanked    images in which text was blanked
    defaced    files from which a face was taken
    """

    dry_run: bool
    edition: str
    options: tuple[str, ...]
    patients: tuple[str, ...]
    read: int
    written: int
    resumed: int = 0
    blanked: int = 0
    defaced: int = 0
    searched: int = 0
    done: tuple[Done, ...] = ()
    left_out: dict[str, int] = Field(default_factory=dict)
    held: tuple[Held, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every file that was understood is in the output."""
        return not self.held

    def to_markdown(self) -> str:
        """For people: counts first, then what was done to each attribute."""
        verb = "would be written" if self.dry_run else "written"
        resumed = f" ({self.resumed} of them by an earlier run)" if self.resumed else ""
        lines = [
            f"{self.written} of {self.read} files {verb}{resumed}, of {len(self.patients)} patient(s)",
            f"profile: PS3.15 {self.edition} basic, {', '.join(self.options) or 'no options'}",
        ]
        if self.blanked or self.defaced:
            lines.append(f"text blanked in {self.blanked} images, faces taken from {self.defaced} files")
        if not self.dry_run:
            lines.append(f"searched for {self.searched} identifiers of the input: none is left")
        lines += [f"left out: {count} x {kind}" for kind, count in sorted(self.left_out.items())]
        reasons = Counter(held.reason for held in self.held)
        lines += [f"held back: {count} x {reason}" for reason, count in reasons.items()]
        lines += [f"note: {note}" for note in self.notes]
        if self.done:
            rows = [f"| {row.attribute} | {row.action} | {row.count} |" for row in self.done]
            lines += ["", "| attribute | action | times |", "|---|---|---|", *rows]
        return "\n".join(lines)
