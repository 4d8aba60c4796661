"""The manifest for Kubernetes fits the image and the server."""

import re
from pathlib import Path

import pytest

from mien.testing import FakePipeline
from mien.web.app import create_app
from mien.web.config import WebConfig

yaml = pytest.importorskip("yaml")
pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]


def test_manifest_fits_the_image_and_the_server(tmp_path: Path) -> None:
    claim, deployment, service = yaml.safe_load_all((ROOT / "examples/kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (port,) = container["ports"]
    image = (ROOT / "Dockerfile").read_text()
    assert f"EXPOSE {port['containerPort']}\n" in image
    assert re.search(r"useradd .*--uid (\d+)", image)[1] == str(  # type: ignore[index]
        pod["securityContext"]["runAsUser"]
    )
    assert f"VOLUME {container['volumeMounts'][0]['mountPath']}\n" in image
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"] == labels

    variables = {one["name"]: one.get("value", "a token of 16.") for one in container["env"]}
    config = WebConfig.from_environment({**variables, "MIEN_DATA_DIR": str(tmp_path)})
    assert (config.proxies, config.access_token) == (1, "a token of 16.")
    client = create_app(config, FakePipeline()).test_client()
    assert client.get(container["livenessProbe"]["httpGet"]["path"]).status_code == 200
    # 503 until the models are loaded, which `mien serve` does at its start.
    assert client.get(container["readinessProbe"]["httpGet"]["path"]).status_code == 503
