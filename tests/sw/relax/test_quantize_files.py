"""Files from elsewhere, quantised in every form."""

import onnx
import onnx_ir as ir
import pytest

from tests.sw.relax.networks import normal
from vta.sw.relax.normalize import normalize
from vta.sw.relax.quantize import FORMS, quantize
from vta.sw.relax.read import read

from .model_files import model_file

FILES = ("mnist_cnn", "resnet8_cifar10", "blazeface_128", "espcn")
LEAST = {"blazeface_128": 0.0}  # dB, of outputs; random images are none of faces


@pytest.mark.parametrize("form", ["power-of-two", *FORMS])
@pytest.mark.parametrize("name", FILES)
def test_a_file_is_quantised(name: str, form: str) -> None:
    start = normalize(read(model_file(f"{name}_float.onnx")))
    options = {"scales": form} if form == "power-of-two" else {"form": FORMS[form]}
    (own,) = start.graph.inputs
    made = quantize(start, normal(2, *own.shape.numpy()), **options)
    onnx.checker.check_model(ir.to_proto(made.model), full_check=True)
    assert min(made.report.outputs.values()) > LEAST.get(name, 10.0), str(made.report)
    assert [v.name for v in made.model.graph.outputs] == [v.name for v in start.graph.outputs]
