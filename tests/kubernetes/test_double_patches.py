"""The ways to change a part of an object, and who owns which field after it, as the real API server has them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kubernetes import patches
from tests.kubernetes.kinds import Node
from tests.kubernetes.manifests import GATEWAY_SERVICE
from tests.kubernetes.server import ClusterServer
from tests.kubernetes.test_double import DEPLOYMENT, ROUTE, SERVICES, image, settled
from tests.kubernetes.wire import Wire

JSON: st.SearchStrategy[Node] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def wire(cluster: ClusterServer, wire: Wire) -> Wire:
    """Somebody who may do everything with the service `web`, which runs."""
    cluster.apply(GATEWAY_SERVICE)
    cluster.wait(lambda: settled(cluster))
    return wire


class TestPatches:
    """Four ways to change a part."""

    def test_a_merge_replaces_lists(self, wire: Wire) -> None:
        """A merge patch of the containers loses what it does not name: the image alone is not enough."""
        wire.send("PATCH", DEPLOYMENT, image("example/web:v2"), how="merge")
        (container,) = wire.get(DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
        assert "env" not in container

    def test_a_strategic_merge_merges_them_by_name(self, wire: Wire) -> None:
        """Of a built-in kind; and `$patch: delete` takes one out."""
        wire.send("PATCH", DEPLOYMENT, image("example/web:v2"), how="strategic")
        (container,) = wire.get(DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
        assert container["env"] == [{"name": "A", "value": "1"}]
        gone = {"containers": [{"name": "app", "env": [{"name": "A", "$patch": "delete"}]}]}
        wire.send("PATCH", DEPLOYMENT, {"spec": {"template": {"spec": gone}}}, how="strategic")
        (container,) = wire.get(DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
        assert not container.get("env")

    def test_a_custom_resource_has_no_strategic_merge(self, wire: Wire) -> None:
        """415, with the types there are."""
        refused = wire.send("PATCH", ROUTE, {"spec": {}}, how="strategic")
        assert refused.status_code == 415
        assert "application/merge-patch+json" in refused.json()["message"]

    def test_a_json_patch_tests_before_it_writes(self, wire: Wire) -> None:
        """A failed test changes nothing."""
        path = "/spec/rules/0/backendRefs/0/weight"
        wrong = [{"op": "test", "path": path, "value": 7}, {"op": "replace", "path": path, "value": 5}]
        assert wire.send("PATCH", ROUTE, wrong, how="json").status_code == 422
        right = [{"op": "test", "path": path, "value": 1}, {"op": "replace", "path": path, "value": 5}]
        assert wire.send("PATCH", ROUTE, right, how="json").status_code == 200
        assert wire.get(ROUTE)["spec"]["rules"][0]["backendRefs"][0]["weight"] == 5

    @given(item=JSON, patch=JSON)
    def test_merging_twice_is_merging_once(self, item: Node, patch: Node) -> None:
        """RFC 7396 is idempotent, and leaves its arguments alone."""
        before = json.dumps([item, patch])
        once = patches.merge(item, patch)
        assert patches.merge(once, patch) == once
        assert json.dumps([item, patch]) == before


class TestOwners:
    """Server-side apply and who owns which field."""

    def test_a_field_of_somebody_else_is_a_conflict_that_names_it(self, wire: Wire) -> None:
        """Trap 11: spec.replicas belongs to kubectl-client-side-apply."""
        patch = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 9}}
        refused = wire.send("PATCH", DEPLOYMENT, patch, how="apply", fieldManager="rollout")
        assert refused.status_code == 409
        told = refused.json()
        assert told["message"] == (
            'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas'
        )
        assert told["details"]["causes"][0]["field"] == ".spec.replicas"

    def test_force_takes_the_field_over(self, wire: Wire) -> None:
        """And the former owner no longer has it."""
        patch = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 4}}
        wire.send("PATCH", DEPLOYMENT, patch, how="apply", fieldManager="rollout", force="true")
        owners = [
            one["manager"]
            for one in wire.get(DEPLOYMENT)["metadata"]["managedFields"]
            if "f:replicas" in one["fieldsV1"].get("f:spec", {}) and "subresource" not in one
        ]
        assert owners == ["rollout"]

    def test_the_same_value_is_shared(self, wire: Wire) -> None:
        """No conflict where both want the same."""
        patch = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 3}}
        assert wire.send("PATCH", DEPLOYMENT, patch, how="apply", fieldManager="rollout").status_code == 200

    def test_what_is_no_longer_applied_goes(self, wire: Wire) -> None:
        """A label that only this manager owned is removed; containers are merged by name."""
        body = {"apiVersion": "apps/v1", "kind": "Deployment", **image("example/web:v1")}
        wire.send("PATCH", DEPLOYMENT, {**body, "metadata": {"labels": {"mine": "1"}}}, how="apply", fieldManager="me")
        held = wire.get(DEPLOYMENT)
        assert held["metadata"]["labels"] == {"mine": "1"}
        assert held["spec"]["template"]["spec"]["containers"][0]["env"]
        wire.send("PATCH", DEPLOYMENT, body, how="apply", fieldManager="me")
        assert "mine" not in (wire.get(DEPLOYMENT)["metadata"].get("labels") or {})

    def test_applying_makes_what_is_not_there(self, cluster: ClusterServer, wire: Wire) -> None:
        """Where the caller may create; and the second apply is no write."""
        body = {"apiVersion": "v1", "kind": "Service", "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}
        made = wire.send("PATCH", f"{SERVICES}/new", body, how="apply", fieldManager="me")
        assert made.status_code == 201
        cluster.forbid("create", "services")
        assert wire.send("PATCH", f"{SERVICES}/other", body, how="apply", fieldManager="me").status_code == 403
        again = wire.send("PATCH", f"{SERVICES}/new", body, how="apply", fieldManager="me")
        assert again.status_code == 200
        assert again.json()["metadata"]["resourceVersion"] == made.json()["metadata"]["resourceVersion"]
