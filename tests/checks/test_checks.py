"""The checks themselves: each finds the fault it is there for, and the tree has none."""
import pathlib

import check_budgets
import check_docs
import check_headers
import check_layers

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_tree_follows_the_include_table():
    assert check_layers.check(ROOT) == []


def test_the_tree_keeps_its_budgets():
    faults, _ = check_budgets.check(ROOT)
    assert faults == []


def test_the_pages_name_files_that_exist():
    assert check_docs.check(ROOT) == []


def test_every_header_is_included_first_by_its_source():
    assert check_headers.check(ROOT) == []


def test_a_header_that_is_not_included_first_is_found(tmp_path):
    (tmp_path / 'worker').mkdir()
    (tmp_path / 'worker/a.h').write_text('')
    (tmp_path / 'worker/a.cc').write_text('#include <string>\n#include "worker/a.h"\n')
    assert len(check_headers.check(tmp_path)) == 1


def test_a_back_edge_is_found():
    folders, headers = check_layers.read_table(ROOT / 'tests/checks/layers.txt')
    text = '#include "coordinator/leases.h"\n#include <mpi.h>\n'
    assert len(check_layers.faults_of('numerics/llama/block.cc', text, folders, headers)) == 2


def test_a_long_function_is_found():
    body = '\n'.join('  x += 1;' for _ in range(70))
    text = f'namespace a {{\nint F(int x, std::map<int, int> y) {{\n{body}\n}}\n}}  // namespace a\n'
    [(first, lines, parameters, name)] = list(check_budgets.functions(text))
    assert (first, lines, parameters, name) == (2, 72, 2, 'F')


def test_a_long_parameter_list_is_found():
    text = 'class A {\n public:\n  void G(int a, int b, int c, int d, int e, int f) const {}\n};\n'
    assert [f[2] for f in check_budgets.functions(text)] == [6]


def test_lambdas_and_braces_in_text_do_not_confuse_the_counter():
    text = 'void H() {\n  auto f = [](int a) { return "}{"; };\n  f(1);\n}\nvoid I() {}\n'
    assert [(f[3], f[1]) for f in check_budgets.functions(text)] == [('H', 4), ('I', 1)]


def test_a_missing_file_in_a_page_is_found(tmp_path):
    (tmp_path / 'README.md').write_text('See `docs/nowhere.md` and [x](gone.md).')
    assert len(check_docs.check(tmp_path)) == 2
