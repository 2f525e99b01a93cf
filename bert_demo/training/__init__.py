"""Training, from a run's settings to a checkpoint. In the order in which to read:

loop            one run from its first event to its last: the story
events          what is told along the way, and how it is typed
setup           what a run needs before its first step: model, data, device
step            losses and gradients of one batch, by threads on a CPU or on a GPU
losses          what training makes small
optimizers      the two recipes: AdamW, Muon, and the learning rate's way
schedule        the clock: budget, time left, what is due when
late_dropout    dropout that begins once a run starts to learn its text by heart
best            the weights with the lowest held-out loss, for a run that keeps those
scoring         how a run's model scores on the way and in the end
validation      what a model scores on held-out text, and making it as sure as it is right
readings        losses that are still on the device
failures        what ends a run before its time
moments         the weights that a run keeps on its way
recorder        the run's folder: checkpoint, state to resume from, metrics
distributed     the same loop on several processes
gpu_batches     a training set that lives on a GPU
layer_trial     one layer at a run's own sizes, tried likewise
proof           a GPU's fast paths, tried before a run takes them
cuda_graphs     a GPU's work written down once and started as a whole
distillation    a student that learns from a teacher's verdicts
choices         one setting of a run the other way
against         both ways trained in turn, in pairs with the same seeds
range_test      how large a run's steps may be, by a sweep of learning rates
slow_step       one step played slowly: mask, guess, loss, gradient, new guess
text_facts      how much text a run has
cost            what a run would take on this computer
speed           the prices of work here, measured once by the loop itself
"""
