"""Reads a page written by --report and prints its contents as lines.

Fails if elements are not nested, if anything would be loaded from elsewhere, or if
there is a script or handler that is not the page's own.
"""

import hashlib
import base64
import html.parser
import re
import sys

VOID = {"meta", "link", "input", "rect", "line", "circle", "path", "br"}
LOADS = {"src", "href", "xlink:href", "action", "data", "poster", "srcset", "formaction", "background"}


class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.rows, self.bars = [], [], [], [], []
        self.scripts, self.text, self.policy, self.cells = [], [], "", None

    def handle_starttag(self, tag, attributes):
        self.space()
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), (tag, names)
        given = dict(attributes)
        for name, value in attributes:
            assert not name.startswith("on") and name != "style", (tag, name)
            if name in LOADS:
                assert value.startswith("#") or value == "data:,", (tag, name, value)
                self.links.append(value)
        if "id" in given:
            self.ids.append(given["id"])
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if tag == "tr" and "data-o" in given:
            self.cells = [given["data-o"]]
        if tag in ("td", "th") and self.cells is not None:
            self.cells.append("")
        if tag == "rect" and "x" in given:
            self.bars.append([given["class"], ""])
        if tag not in VOID or (tag in ("rect", "circle", "path") and not self.get_starttag_text().endswith("/>")):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)

    def space(self):
        self.text.append(" ")
        if self.cells and len(self.cells) > 1:
            self.cells[-1] += " "

    def handle_endtag(self, tag):
        self.space()
        assert self.open and self.open[-1] == tag, f"</{tag}> in {self.open} at {self.getpos()}"
        self.open.pop()
        if tag == "tr" and self.cells is not None:
            self.rows.append(self.cells)
            self.cells = None

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.text.append(data)
            if self.open[-1:] == ["title"] and self.open[-2:-1] == ["rect"]:
                self.bars[-1][1] += data
            if self.cells is not None and len(self.cells) > 1:
                self.cells[-1] += data

    def handle_comment(self, data):
        assert False, f"a comment: {data}"


def main():
    raw = open(sys.argv[1], "rb").read()
    text = raw.decode("utf-8")
    odd = re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)
    assert not odd, odd[:9]
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open, reader.open
    assert len(reader.ids) == len(set(reader.ids)), "ids are there twice"
    missing = {link[1:] for link in reader.links if link.startswith("#")} - set(reader.ids)
    assert not missing, f"links to nothing: {sorted(missing)[:9]}"
    style = re.search("<style>(.*?)</style>", text, re.S).group(1)
    assert not re.search(r"@import|url\((?!#)", style), "the style loads something"
    assert "default-src 'none'" in reader.policy, reader.policy
    [script] = reader.scripts
    for kind, source in (("script", script), ("style", style)):
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in reader.policy, (kind, digest, reader.policy)
    for cells in reader.rows:
        print("row", " | ".join(re.sub(r"\s+", " ", cell).strip() for cell in cells))
    for kind, title in reader.bars:
        print("bar", kind, "|", title)
    print("text", re.sub(r"\s+", " ", "".join(reader.text)))


main()
