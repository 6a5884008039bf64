"""The gallery: figures from live runs, their folder, and their place in the report."""

import itertools
import json
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

typer = pytest.importorskip("typer")
from typer.testing import CliRunner  # noqa: E402  (where typer is missing there is no command)

import xpsolve as xs  # noqa: E402
from xpsolve import cli, report  # noqa: E402
from xpsolve.arrays import backends  # noqa: E402
from xpsolve.report import gallery  # noqa: E402
from xpsolve.report.gallery import autodiff, networks, restoration, sparse, stochastic  # noqa: E402
from xpsolve.solution import inner_solve  # noqa: E402

NUMPY = backends.get("numpy")
SVG = "{http://www.w3.org/2000/svg}"


def invoke(*arguments):
    return CliRunner().invoke(cli.app, list(arguments))


@pytest.fixture
def drawn(small_suite):
    """Results of the suite, with two figures beside them."""
    out = small_suite.write().parent / "gallery"
    assert len(list(gallery.draw_all(gallery.PICTURES, "numpy", out, only=("lq-balls", "soft-threshold")))) == 2
    return out


@pytest.mark.parametrize("name", [name for name in gallery.PICTURES if name != "lasso-convergence"])
def test_each_figure_is_an_svg_that_says_what_it_shows(name):
    picture = gallery.PICTURES[name]
    assert picture.name == name
    root = ElementTree.fromstring(picture.svg(NUMPY))
    assert root.find(f"{SVG}title").text == picture.title
    assert root.find(f"{SVG}desc").text == picture.alt
    assert len(list(root.iter(f"{SVG}text"))) > 4


def test_words_stay_words():
    for picture in gallery.PICTURES.values():
        assert len(picture.alt) > 40
        assert "Peyré" in picture.caption
        assert len(picture.title) <= 72  # one line


@pytest.mark.parametrize("name", ["torch", "array-api-strict"])
def test_figures_run_on_other_backends(name):
    backend = backends.get(name)
    if not backend.available:
        pytest.skip(backend.reason)
    for q in (1.5, 2.0):
        for here, there in zip(sparse.ball(NUMPY, q), sparse.ball(backend, q), strict=True):
            np.testing.assert_allclose(there, here, atol=1e-12)
    assert gallery.PICTURES["soft-threshold"].svg(backend) == gallery.PICTURES["soft-threshold"].svg(NUMPY)


@pytest.mark.parametrize("q", [1.0, 2.0])
def test_the_ball_touches_the_line_where_the_solver_says(q):
    points, found = sparse.ball(NUMPY, q)
    np.testing.assert_allclose(np.sum(np.abs(points) ** q, axis=0), 1.0)
    best = points[:, np.argmax(np.asarray(sparse.SLOPE) @ points)]
    np.testing.assert_allclose(found, best, atol=1e-2)  # the points are a degree apart


def test_the_path_starts_at_0_and_ends_at_the_answers_of_the_smallest_lambda():
    lines = [line for line in sparse.lasso_path.draw(NUMPY).axes[0].lines if len(line.get_xdata()) == 100]
    assert len(lines) == 10
    assert all(line.get_ydata()[0] == 0 for line in lines)
    data = xs.problems.diabetes()
    best = xs.lasso(data.A, data.y, 1e-3 * float(np.max(np.abs(data.A.T @ data.y))), tol=1e-12).x
    np.testing.assert_allclose([line.get_ydata()[-1] for line in lines], best, rtol=1e-6)


def test_runs_stay_under_their_bounds():
    axes = sparse.lasso_convergence.draw(NUMPY, p=60, max_iter=200).axes
    (ista, ista_bound, fista, fista_bound), calls = ([line.get_ydata() for line in one.lines] for one in axes)
    assert np.all(ista <= ista_bound[: ista.size])
    assert np.all(fista <= fista_bound[: fista.size])
    assert fista[-1] < ista[-1]
    assert len(calls) == 3
    assert all(np.all(np.diff(excess) <= 1e-15) for excess in calls)  # a smaller tolerance is no worse


def test_counts_of_a_chain_lie_on_the_formulas_which_cross_where_the_ends_are_alike():
    inputs = (1, 2, 5, 20)
    lines = autodiff.chain_cost.draw(NUMPY, inner=7, outputs=5, inputs=inputs).axes[0].lines
    forward, by_forward, reverse, by_reverse, optimal = (dict(zip(*line.get_data(), strict=True)) for line in lines[:5])
    for n in inputs:
        assert forward[n] == by_forward[n] == xs.autodiff.chain_cost((n, 7, 7, 7, 5), "forward")
        assert reverse[n] == by_reverse[n] == xs.autodiff.chain_cost((n, 7, 7, 7, 5), "reverse")
        assert optimal[n] == min(forward[n], reverse[n])
        assert (forward[n] < reverse[n], forward[n] == reverse[n]) == (n < 5, n == 5)


def test_batch_descent_is_faster_with_longer_steps_and_keeps_its_bound():
    *runs, bound = (line.get_ydata() for line in stochastic.bgd_logistic.draw(NUMPY, max_iter=60).axes[0].lines)
    assert all(np.all(np.diff(excess) < 0) for excess in runs)
    assert all(np.all(longer < shorter) for shorter, longer in itertools.pairwise(runs))
    assert np.all(runs[list(stochastic.STEPS).index(1.0)] <= bound)


def test_the_minimum_that_figures_start_from_is_one():
    f, _, least = stochastic.tumours(NUMPY)
    best = minimize(
        f.value, np.zeros(f.shape), jac=f.gradient, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9}
    )
    assert abs(float(best.fun) - least) < 1e-12


@pytest.mark.parametrize("warmup", stochastic.WARMUPS.values())
def test_the_cloud_has_the_spread_of_the_theory(warmup):
    with inner_solve():
        x = stochastic.cloud(NUMPY, warmup, runs=2000, steps=60)
    assert x.shape == (61, 2000)
    theory = stochastic.spread(warmup, 60)
    np.testing.assert_allclose(np.std(x, axis=1), theory, rtol=0.1)  # six times the deviation of that of 2000 numbers
    np.testing.assert_allclose(np.mean(x, axis=1) / theory, 0.0, atol=0.15)


@pytest.mark.parametrize("name", ["torch", "array-api-strict"])
def test_the_cloud_is_the_same_on_other_backends(name):
    backend = backends.get(name)
    if not backend.available:
        pytest.skip(backend.reason)
    with inner_solve():
        here, there = (stochastic.cloud(b, 20.0, runs=5, steps=30) for b in (NUMPY, backend))
    np.testing.assert_allclose(there, here, atol=1e-12)


def test_stochastic_descent_leads_first_and_batch_descent_in_the_end():
    *runs, mean, batch = stochastic.sgd_against_bgd.draw(NUMPY, runs=2).axes[0].lines
    np.testing.assert_allclose(mean.get_ydata(), np.mean([run.get_ydata() for run in runs], axis=0))
    ahead = np.interp(batch.get_xdata(), mean.get_xdata(), mean.get_ydata()) < batch.get_ydata()
    assert ahead[0]
    assert not ahead[-1]
    assert np.sum(np.diff(ahead)) == 1  # they cross once


def test_of_the_stochastic_methods_only_sag_converges_linearly():
    lines = stochastic.sgd_sga_sag.draw(NUMPY, epochs=40).axes[0].lines
    sgd, sga, sag = (line.get_ydata() for line in lines)
    assert list(lines[0].get_xdata()) == list(range(41))
    assert sag[-1] < 1e-4 < min(sgd[-1], sga[-1])
    assert sag[40] / sag[30] < 0.3  # another ten epochs multiply by as much
    assert sgd[40] / sgd[30] > 0.8


def test_digits_are_told_apart_by_what_was_not_seen():
    f, held_out = stochastic.halves(NUMPY)
    A, y, A_out, y_out = f.operator.A, f.y, held_out.operator.A, held_out.y
    assert A.shape[0] + A_out.shape[0] == xs.problems.digits().A.shape[0]
    both = {row.tobytes() for row in A} & {row.tobytes() for row in A_out}
    assert not both
    left, right = stochastic.digits_multinomial.draw(NUMPY, max_iter=30).axes
    (plain, nesterov), (seen, accelerated, best) = ([line.get_ydata() for line in one.lines] for one in (left, right))
    assert plain.size == seen.size == 30
    assert nesterov[-1] < plain[-1]
    assert accelerated[-1] > 0.93
    theirs = LogisticRegression(C=1 / (A.shape[0] * stochastic.LAM), fit_intercept=False, tol=1e-8, max_iter=1000)
    scored = theirs.fit(A, np.argmax(y, axis=1)).score(A_out, np.argmax(y_out, axis=1))
    assert abs(scored - best[0]) < 1.5 / A_out.shape[0]  # one image may lie on a border


def test_the_best_of_ridge_and_of_the_lasso_are_shown_and_motion_is_for_the_lasso():
    motion = restoration.DEBLURRED[1]
    problem, found = restoration.restored(NUMPY, motion, 48)
    sharper = {name: problem.psnr(x) for name, (_, x) in found.items()}
    assert problem.psnr(problem.y) + 2 < sharper["ridge"] < sharper["cosine lasso"]
    for name, (lam, _) in found.items():
        assert min(motion.lams[name]) < lam < max(motion.lams[name])  # within what was tried


@pytest.mark.parametrize("setting", restoration.RESTORED, ids=lambda one: one.label)
def test_total_variation_is_closer_to_the_photograph(setting):
    with inner_solve():
        problem, found = restoration.restored(NUMPY, setting, 64)
    decibels = {name: problem.psnr(x) for name, (_, x) in found.items()}
    assert decibels["total variation"] > max(decibels["ridge"], decibels["Haar lasso"]) + 0.3
    assert decibels["total variation"] > problem.psnr(problem.y) + 3
    assert np.min(found["total variation"][1]) >= 0


def test_networks_lead_ista_at_every_depth():
    with inner_solve():
        found = networks.losses(NUMPY, "digits", 6, 96, 200)
    assert all(0 < found["step-LISTA"][t] < found["ISTA"][t] for t in range(6))
    assert all(0 < found["LISTA, full"][t] < found["ISTA"][t] for t in range(6))
    assert found["LISTA, full"][0] < found["step-LISTA"][0]  # a matrix can do more than a step
    assert found["FISTA"][0] == pytest.approx(found["ISTA"][0])


def test_learned_steps_and_those_of_the_supports_are_above_1():
    for axes in networks.lista_steps.draw(NUMPY, n_layers=6, train=100).axes:
        inverse, learned = (line.get_ydata() for line in axes.lines[:2])
        assert np.all(inverse > 1)
        assert np.all(learned > 1)
        assert inverse[-1] > inverse[0]  # codes become sparser
        assert learned[-1] > learned[0]


def test_deep_layers_are_nearer_to_ista_than_the_first():
    left, right = networks.lista_form.draw(NUMPY, n_layers=12, train=300).axes
    for distance, threshold in zip(left.lines, right.lines, strict=False):
        assert np.all(distance.get_ydata()[-3:] < 0.5 * distance.get_ydata()[0])
        assert np.all(np.abs(threshold.get_ydata()[-3:] - 1) < 0.3 * np.max(np.abs(threshold.get_ydata() - 1)))


def test_networks_are_drawn_with_the_accuracy_that_they_have():
    left, right = networks.digits_networks.draw(NUMPY, epochs=2).axes
    lines = {line.get_label(): line for line in left.lines if not line.get_label().startswith("_")}
    assert lines.keys() == {"perceptron", "convolutional"}
    assert all(line.get_ydata()[-1] > 0.9 for line in lines.values())
    assert all(np.all(np.diff(line.get_xdata()) > 0) for line in right.lines[:2])


def test_ways_to_the_gradient_of_softmax_agree():
    dense, matrix_free, diagonal = (product() for product in networks.products(NUMPY, 7).values())
    np.testing.assert_allclose(dense, matrix_free, rtol=1e-12)
    assert diagonal.shape == dense.shape


def test_the_map_of_convolutions_has_a_marker_for_every_point():
    left, right = networks.convolution_map.draw(NUMPY, sides=(8, 16), kernels=(1, 3)).axes
    assert all(sum(len(line.get_xdata()) for line in axes.lines) == 4 for axes in (left, right))
    seconds, chosen = networks.contest(NUMPY, 16, 3, 1, 1, 1)
    assert chosen in seconds


def test_the_command_draws_what_is_asked_for(tmp_path):
    result = invoke("figures", "--only", "soft-threshold", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gallery.json", "soft-threshold.svg"]
    assert "soft-threshold.svg" in result.output
    invoke("figures", "--only", "lq-balls", "--out", str(tmp_path))
    invoke("figures", "--only", "soft-threshold", "--out", str(tmp_path))
    found, warnings = gallery.read(tmp_path)
    assert [one.name for one in found] == ["lq-balls", "soft-threshold"]  # what lay there stays; in the page's order
    assert not warnings


def test_figures_drawn_side_by_side_are_those_drawn_alone(tmp_path):
    names = ("soft-threshold", "lq-balls", "sinkhorn-plans", "softmax-jacobian")
    done = list(gallery._together.draw_all(gallery.PICTURES, "numpy", tmp_path, only=names))
    assert {picture.name for picture, _ in done} == set(names)
    assert done[-1][0].timed  # after the others, alone
    found, warnings = gallery.read(tmp_path)
    assert not warnings
    assert [one.name for one in found] == [name for name in gallery.PICTURES if name in names]
    texts = {one.name: text for one, text in found.items()}
    assert texts["soft-threshold"] == gallery.PICTURES["soft-threshold"].svg(NUMPY)
    assert gallery.left_out(tmp_path) == []


def test_figures_for_which_there_is_no_time_are_named_in_the_report(small_suite, tmp_path):
    out = small_suite.write().parent / "gallery"
    done = list(gallery.draw_all(gallery.PICTURES, "numpy", out, only=("lq-balls", "total-variation"), seconds=1.0))
    drawn = {picture.name: found is not None for picture, found in done}
    assert not drawn["total-variation"]
    assert gallery.left_out(out)[-1] == "total-variation"
    page = report.build(small_suite.folder, tmp_path / "report")
    assert "Figures of the gallery that there was no time to draw" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--only", "nothing"), "lq-balls, soft-threshold"), (("--backend", "nump"), "numpy, cupy")],
)
def test_bad_requests_are_one_line_without_a_traceback(arguments, said, tmp_path):
    result = invoke("figures", "--out", str(tmp_path), *arguments)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())


def test_a_figure_that_fails_is_named_and_the_others_are_drawn(monkeypatch, tmp_path):
    def fail(backend):
        raise RuntimeError("[odd] message")

    pictures = {name: gallery.PICTURES[name] for name in ("lq-balls", "soft-threshold")}
    pictures["lq-balls"] = gallery.Picture("lq-balls", "lasso", "t", "a", "c", fail)
    monkeypatch.setattr(gallery, "PICTURES", pictures)
    result = invoke("figures", "--out", str(tmp_path))
    assert result.exit_code == 0
    assert "failed: lq-balls: RuntimeError: [odd] message" in result.output
    assert [one.name for one in gallery.read(tmp_path)[0]] == ["soft-threshold"]
    assert invoke("figures", "--out", str(tmp_path), "--only", "lq-balls").exit_code == 1


def test_the_report_shows_them(drawn, tmp_path):
    page = report.build(tmp_path / "results", tmp_path / "report")
    text = (page.parent / "gallery.html").read_text()
    assert 'href="gallery.html"' in page.read_text()
    for name in ("lq-balls", "soft-threshold"):
        picture = gallery.PICTURES[name]
        assert f'src="figures/gallery-{name}.svg"' in text
        assert f'alt="{picture.title}. {picture.alt}"' in text
        assert (page.parent / "figures" / f"gallery-{name}.svg").read_text() == (drawn / f"{name}.svg").read_text()
    assert "on numpy, in " in text


def test_a_report_without_a_gallery_does_not_speak_of_one(small_suite, tmp_path):
    out = report.build(small_suite.write(), tmp_path / "report").parent
    assert not (out / "gallery.html").exists()
    assert not any("gallery" in page.read_text().lower() for page in out.glob("*.html"))


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"version": 99, "figures": []}', b'{"version": 1}', b"\x80"])
def test_a_corrupt_gallery_is_named_and_skipped(tmp_path, content):
    (tmp_path / "gallery.json").write_bytes(content)
    found, (warning,) = gallery.read(tmp_path)
    assert not found
    assert str(tmp_path / "gallery.json") in warning


def test_a_report_names_a_corrupt_gallery(drawn, tmp_path):
    (drawn / "gallery.json").write_text("{")
    out = report.build(tmp_path / "results", tmp_path / "report").parent
    assert "gallery.json: not readable as JSON" in (out / "methods.html").read_text()
    assert not (out / "gallery.html").exists()


def test_foreign_entries_are_named_and_skipped_one_by_one(drawn, tmp_path):
    noted = json.loads((drawn / "gallery.json").read_text())
    good = noted["figures"][0]
    torn = {**good, "name": "torn"}
    (drawn / "torn.svg").write_text("<svg>")
    noted["figures"] += [
        torn,
        {**good, "name": "../../secret"},
        {**good, "name": "no-such-file"},
        {**good, "seconds": "<b>"},
        {"name": "half"},
        7,
    ]
    (drawn / "gallery.json").write_text(json.dumps(noted))
    found, warnings = gallery.read(drawn)
    assert [one.name for one in found] == ["lq-balls", "soft-threshold"]
    assert [f"figure {i} " in line for i, line in enumerate(warnings, start=3)] == [True] * 6


def test_words_of_a_gallery_are_text_and_never_markup(drawn, tmp_path):
    noted = json.loads((drawn / "gallery.json").read_text())
    for key in ("title", "alt", "caption", "family", "ran"):
        noted["figures"][0][key] = f'<b>"{key}'
    (drawn / "gallery.json").write_text(json.dumps(noted))
    page = report.build(tmp_path / "results", tmp_path / "report")
    text = (page.parent / "gallery.html").read_text()
    assert "<b>" not in text
    assert "&lt;b&gt;&#34;caption" in text


def test_what_was_drawn_is_read_without_importing_what_draws(tmp_path):
    code = (
        "import sys; from pathlib import Path; from xpsolve.report import gallery\n"
        f"assert gallery.read(Path({str(tmp_path)!r})) == ({{}}, [])\n"
        "assert not [name for name in sys.modules if name.startswith('xpsolve.report.gallery.') and '._' not in name]\n"
        "assert 'soft-threshold' in gallery.PICTURES"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
