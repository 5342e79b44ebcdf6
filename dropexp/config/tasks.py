"""Facts about the two tasks that the config and the training share."""

FASHION_MNIST, LINEAR_REGRESSION = "fashion-mnist", "linear-regression"

NUM_INPUTS, NUM_OUTPUTS = 784, 10  # a Fashion-MNIST image has 28 × 28 pixels and one of ten classes
NUM_TRAIN_IMAGES = 60_000
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CHANCE_LEVEL = 0.11  # a network whose final accuracy is at most this has learned nothing; guessing gives 0.1

LINREG_VARIANTS = ("scratch", "nn")
LINREG_ROWS = 10_000  # at most: torch sums up to this many losses in one piece, whatever the number of threads
LINREG_KEYS = frozenset(
    {"variant", "task", "seed", "lr", "epochs", "batch_size", "weight_decay", "l1"}
    | {"train_size", "validation_size", "eval_test", "eval_every"}
)
