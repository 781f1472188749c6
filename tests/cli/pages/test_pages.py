"""Pages of large folders stay readable, and deep trees are drawn."""

from __future__ import annotations

from nfn_cli.cli.pages.families_page import families_page
from nfn_cli.cli.pages.family_tree import family_tree
from nfn_cli.cli.pages.pair_matrix import MOST, Square, pair_matrix
from nfn_cli.cli.tables.families_table import FamilyRow, PairRow


def test_a_tree_as_deep_as_a_folder_is_large() -> None:
    rows = [FamilyRow("0", 1, 1, "root")]
    rows += [FamilyRow(str(place), 1, place + 1, "derived", str(place - 1)) for place in range(1, 5_000)]
    page = family_tree(rows)
    assert page.count("<li>") == page.count("</li>") == 5_000
    assert page.count("<ul>") == page.count("</ul>") == 5_000


def test_many_copies_are_counted() -> None:
    rows = [FamilyRow("0", 1, 1, "first"), *(FamilyRow(str(place), 1, 1, "copy", "0") for place in range(1, 100))]
    rows.append(FamilyRow("child", 1, 2, "derived", "0"))
    page = family_tree(rows)
    assert "and 59 copies more" in page and ">child<" in page and ">40<" in page and ">41<" not in page


def test_a_matrix_has_a_square_for_each_pair() -> None:
    paths = [f"{place}.pt" for place in range(5)]
    squares = {("1.pt", "0.pt"): Square("derived", 0.5), ("2.pt", "3.pt"): Square("same", None)}
    page = pair_matrix(paths, squares)
    assert page.count("<rect") == 25 and page.count("not compared") == 20 - 4 + 1
    assert page.count("derived, score 0.500") == 2
    assert page.count("<li") == 5 + 3  # names, and what the colours mean


def test_a_large_folder() -> None:
    count = 3_000
    rows = [FamilyRow(f"{place}.pt", place + 1, place + 1, "stranger") for place in range(count)]
    pairs = [PairRow(f"{place}.pt", f"{place + 1}.pt", "independent", "") for place in range(count - 1)]
    page = families_page(rows, pairs, [], {})
    assert page.count("<rect") == MOST**2
    assert f"The first {MOST} of 3,000." in page
    assert page.count("<tr>") == count + 1


def test_an_empty_one() -> None:
    page = families_page([FamilyRow("a.pt", error="a.pt: it is bad; make it good")], [], [], {})
    assert "it is bad" in page and "<svg" not in page
