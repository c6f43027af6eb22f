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
        "Cascade",
        "Two models in a row: a small one answers where its calibrated confidence is high, and a large one is asked about the "
        "rest. The mean cost falls; the worst case costs as much as both together.",
        ("confidence", "selective-prediction", "latency"),
    ),
    Term(
        "Channels last",
        "The order of an image in memory in which the channels of one pixel lie side by side (NHWC); PyTorch's usual order is "
        "channel by channel (NCHW). The weights have to be in the same order as the image, or the sums mean nothing.",
        ("edge-computing",),
    ),
    Term(
        "Double",
        "A float of 64 bits (float64). It holds every whole number up to 2^53 exactly, and not all beyond. JavaScript's numbers "
        "are doubles.",
        ("fixed-point-multiplier", "rounding-error"),
    ),
    Term(
        "DRAM",
        "The main memory of a computer or phone, on a chip of its own: gigabytes, slow, and hungry. Reading a number from it "
        "costs a hundred times the energy of reading it from memory on the processor's own chip.",
        ("ram", "bandwidth", "edge-computing"),
    ),
    Term(
        "Edge computing",
        "Computing where the data arise, on a camera, a watch or a sensor, instead of in a data centre. No picture leaves the "
        "device and no network is needed; memory, energy and arithmetic are scarce, so the model is made small first.",
        ("mobile-deployment", "quantization", "pruning", "latency"),
    ),
    Term(
        "Export",
        "To write a model down as a graph of its operations, for a program that does not run the training framework. What is "
        "written is what happens in one run: its mode (train or eval), and whatever does not depend on the input.",
        ("onnx", "runtime", "mobile-deployment"),
    ),
    Term(
        "Flash",
        "Memory of a chip that keeps its contents without power. The program and its constants lie there, the weights among them; "
        "it is read fast and written seldom, and there is more of it than of RAM.",
        ("ram", "arena", "edge-computing"),
    ),
    Term(
        "Mobile deployment",
        "Bringing a trained model onto phones: in a runtime, in a web page, or as code of its own. The results have to be "
        "compared with those of the training framework, number by number, and measured on the phone itself.",
        ("edge-computing", "onnx", "latency"),
    ),
    Term(
        "Model card",
        "A page beside a model: what it was trained on, what it is for, how good it is and on which data, and where it must not "
        "be trusted. Here each number on it is measured when the card is written.",
        ("test-set", "worst-class-accuracy"),
    ),
    Term(
        "RAM",
        "Memory that is read and written fast, and loses its contents without power. What lies between the layers needs it, on a "
        "small chip a few kilobytes.",
        ("arena", "flash", "dram"),
    ),
    Term(
        "Runtime",
        "A program that runs a network from its graph of operations, with fast kernels of its own and without the training "
        "framework: onnxruntime, ExecuTorch, LiteRT. Two of them seldom give the same floats.",
        ("onnx", "export", "kernel", "latency"),
    ),
    Term(
        "Scratch memory",
        "Bytes that a layer needs only while it runs, for example for a copy of the window that it looks at. Afterwards another "
        "layer may use them.",
        ("arena", "ram"),
    ),
    Term(
        "Shortcut",
        "A way around some layers: their input is added to their output (a residual connection). It is needed again when they "
        "are done, so its memory is not free before.",
        ("arena",),
    ),
    Term(
        "WebAssembly",
        "Code for browsers that runs nearly as fast as compiled C, in a box that sees nothing of the device. The page of a "
        "network computes its sums with it, and with JavaScript where it is missing.",
        ("simd", "mobile-deployment"),
    ),
)
