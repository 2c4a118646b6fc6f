"""Tables of numbers: what is read, and what malformed files are told, by line number."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faltung.tables import TableError, read, written

nan = float("nan")


def columns(content, **options):
    table = read("t.csv", content)
    return table.names, [table.numbers(n + 1).tolist() for n in range(table.width)]


@pytest.mark.parametrize("mark", [",", ";", "\t", " "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends_are_found(mark, end):
    text = end.join(mark.join(row) for row in (("t", "x"), ("0", "1.5"), ("1", "-2e3"))) + end
    names, found = columns(text.encode())
    assert names == ("t", "x")
    assert found == [[0, 1], [1.5, -2000]]
    assert columns(b"\xef\xbb\xbf" + text.encode()) == (names, found)  # a byte order mark
    assert columns(text.encode().rstrip())[1] == found


def test_without_a_header_columns_have_numbers():
    table = read("t.csv", b"0,1\n2,3\n")
    assert table.names == ()
    assert table.numbers(2).tolist() == [1, 3]
    assert table.name(1) == "column2"


def test_what_is_missing():
    _, found = columns(b"x,y\n,1\nnan,2\nNaN,3\nNA,4\nnull,5\n 6 ,\n")
    np.testing.assert_array_equal(found, [[nan] * 5 + [6], [1, 2, 3, 4, 5, nan]])


def test_quotes_comments_and_empty_lines():
    names, found = columns(b'# made by hand\n\n"a, b",c\n"1","2"\n# more\n\n3,4\n')
    assert names == ("a, b", "c")
    assert found == [[1, 3], [2, 4]]
    table = read("t.csv", b'note,x\n"two\nlines",1\nplain,oops\n')
    with pytest.raises(TableError, match="line 4, column x: 'oops'"):
        table.numbers("x")


def test_a_single_column_misses_a_number_where_a_line_is_empty():
    for content in (b"x\n1\n\n\n2\n\n", b"\nx\n1\n\n# c\n\n2\n", b'x\n1\n""\n""\n2\n'):
        _, found = columns(content)
        np.testing.assert_array_equal(found, [[1, nan, nan, 2]])
    assert columns(b'"a b"\n1\n') == (("a b",), [[1]])
    assert columns(b"1   2\n 3 4 \n\n5 6")[1] == [[1, 3, 5], [2, 4, 6]]


def test_only_the_columns_asked_for_need_to_be_numbers():
    assert read("t.csv", b"who,x\nann,1\nbob,2\n").numbers("x").tolist() == [1, 2]


def test_times_are_numbers_or_dates():
    table = read("t.csv", b"t,x\n2024-02-28T23:59:59Z,1\n2024-02-29 00:00:00.5,2\n2024-03-01,3\n")
    assert table.times("t").tolist() == [0, 1.5, 86401]
    assert table.times("x").tolist() == [1, 2, 3]
    assert read("t.csv", b"2024-01-01,1\n2024-01-02,2\n").times(1).tolist() == [0, 86400]
    with pytest.raises(TableError, match="line 3"):
        read("t.csv", b"t\n2024-01-01\nyesterday\n").times("t")


@pytest.mark.parametrize(("content", "words"), [
    (b"", "empty"), (b"\n \n# only\n", "empty"), (b"x\n", "below its header"),
    (b"a,b\n1,2\n1\n", "line 3 has 1 cells"), (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 cells"),
    (b"x\n1\nabc\n", "line 3, column x: 'abc' is no number"),
    (b"t;x\n0;1,5\n", "line 2, column x: '1,5' is no number; write decimals with a point"),
    (b"x\n1e999\n", "line 2, column x: '1e999' is beyond"),
    (b"x\ninf\n", "'inf' is not finite"), (b"x\n1_0\n", "no plain number"),
    ("x\n\u0661\n".encode(), "no plain number"), (b'a,b\n"1,2\n', "line 2: .* quote"),
    (b"x,y\n" + b"9" * 200_000 + b",1\n", "line 2: field larger"),
    (b"x\n" + b"9" * 5000 + b"\n", r"'9{37}\.\.\.' is beyond"),
    (b"x\n1\nH\xf6he\n", "line 3 is no text in UTF-8"), (b"x\n1\0\n", "zero bytes"),
    (b"\x89PNG\r\n\x1a\n\0\0", "zero bytes"), (bytes(range(1, 256)), "UTF-8"),
    ("x\n1\n".encode("utf-16"), "zero bytes"), (b"\x93NUMPY\x01\0garbage", r"numpy\.save"),
])  # fmt: skip
def test_malformed_files_are_told_in_one_line(content, words):
    def last_column():
        table = read("t.csv", content)
        return table.numbers(table.width)

    with pytest.raises(TableError, match=words) as error:
        last_column()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_columns_that_are_none_or_several():
    table = read("t.csv", b"x,y,x\n1,2,3\n")
    with pytest.raises(TableError, match="2 columns have the name 'x'; give one by its number: 1 "):
        table.numbers("x")
    assert table.numbers("3").tolist() == [3]
    for column in ("z", "0", "4", "-1", "x" * 500):
        with pytest.raises(TableError, match="no column"):
            table.numbers(column)


def test_arrays():
    def saved(array):
        file = io.BytesIO()
        np.save(file, array)
        return read("t.npy", file.getvalue())

    assert saved(np.arange(3)).numbers(1).tolist() == [0, 1, 2]
    assert saved(np.arange(6, dtype=">f4").reshape(3, 2)).numbers("2").tolist() == [1, 3, 5]
    for wrong in (np.zeros((2, 2, 2)), np.array(["a"]), np.zeros(0), np.array([np.inf]),
                  np.zeros((3, 0)), np.array(1.0), np.array([1j])):  # fmt: skip
        with pytest.raises(TableError):
            saved(wrong)
    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    with pytest.raises(TableError, match=r"numpy\.save"):
        read("t.npy", file.getvalue())


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(TableError, match="No such file"):
        read(str(tmp_path / "none.csv"))
    with pytest.raises(TableError, match="directory"):
        read(str(tmp_path))
    (tmp_path / "t.csv").write_bytes(b"1\n2\n")
    assert read(str(tmp_path / "t.csv")).numbers(1).tolist() == [1, 2]


@settings(max_examples=60)
@given(st.lists(st.floats(allow_infinity=False), min_size=1, max_size=20))
def test_what_is_written_is_read_back_to_the_last_bit(values):
    x = np.array(values)
    back = read("t.csv", written({"a": x, "x": np.flip(x)}).encode())
    np.testing.assert_array_equal(back.numbers("a"), x)
    np.testing.assert_array_equal(back.numbers("x"), np.flip(x))


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_told(content):
    try:
        table = read("t.csv", content)
        table.numbers(1)
    except TableError as error:
        assert str(error).startswith("t.csv: ")  # noqa: PT017  (either may be)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_on_any_system(end):
    table = read("t.csv", f"t,x{end}0,1.5{end}1,2.5{end}".encode())
    assert table.numbers("x").tolist() == [1.5, 2.5]
