from dataclasses import replace

from models.moving_average import MovingAverage
from models.store import Store
from tests.drafts import draft
from tests.service.running import in_process


def test_a_moving_average_that_the_fit_left_far_off_is_a_finding_about_its_layer(store: Store) -> None:
    tiny = draft()
    (layer,) = tiny.normalization
    left = MovingAverage(layer.mean + 2 * layer.deviation, layer.variance)
    store.publish(replace(tiny, moving_averages={layer.name: left}))

    with in_process(store.root, history_url="none") as service:
        (told,) = service.get("/v2/models/tiny/normalization").json()["layers"]
        detail = service.get("/v2/models/tiny/normalization/layers/norm").json()

    assert [(finding["flag"], finding["channels"]) for finding in told["health"]] == [("stale-moving-average", 3)]
    assert "means by up to 2 deviations" in told["health"][0]["message"]
    assert detail["health"] == told["health"]


def test_a_network_of_which_no_moving_average_is_known_has_no_such_finding(store: Store) -> None:
    store.publish(draft())

    with in_process(store.root, history_url="none") as service:
        (told,) = service.get("/v2/models/tiny/normalization").json()["layers"]

    assert told["health"] == []
