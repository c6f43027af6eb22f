"""The words of unit 08, sorted."""

from posttrain_lab.glossary.term import Term, of_unit

DEPLOYMENT_WORDS = of_unit(
    "08_deployment",
    Term(
        "Arena",
        "One piece of memory, of a size that is known before the program runs, in which a network keeps all that lies between "
        "its layers. Buffers that never live at the same time share its bytes. Small chips have no other memory to ask for.",
        ("edge-computing",),
    ),
    Term(
        "Channels last",
        "The order of an image in memory in which the channels of one pixel lie side by side (NHWC); PyTorch's usual order is "
        "channel by channel (NCHW). The weights have to be in the same order as the image, or the sums mean nothing.",
        ("edge-computing",),
    ),
    Term(
        "Edge computing",
        "Computing where the data arise, on a camera, a watch or a sensor, instead of in a data centre. No picture leaves the "
        "device and no network is needed; memory, energy and arithmetic are scarce, so the model is made small first.",
        ("mobile-deployment", "quantization", "pruning", "latency"),
    ),
    Term(
        "Mobile deployment",
        "Bringing a trained model onto phones: in a runtime, in a web page, or as code of its own. The results have to be "
        "compared with those of the training framework, number by number, and measured on the phone itself.",
        ("edge-computing", "onnx", "latency"),
    ),
)
