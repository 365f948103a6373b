from pathlib import Path

from training.studies.plots import BLUE, draw_seeds, label, panels, save_svg


def test_a_plot_is_the_same_file_every_time_without_a_date(tmp_path: Path) -> None:
    contents = []

    for number in range(2):
        figure, (left, _) = panels(2)
        draw_seeds(left, [1, 2, 3], [[1, 2, 3], [2, 2, 4]], name="with", colour=BLUE)
        label(left, "Accuracy", "step", "accuracy, %")
        save_svg(figure, tmp_path / f"{number}.svg")
        contents.append((tmp_path / f"{number}.svg").read_text())

    assert contents[0] == contents[1]
    assert "dc:date" not in contents[0]
    assert all(f">{word}</text>" in contents[0] for word in ("Accuracy", "step", "accuracy, %", "with"))
