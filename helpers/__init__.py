"""The map of the house: one line a room, in reading order, and behind "<" what it imports of ours.

The front rooms hold the science, in the order in which a reader meets it. Plumbing has wings, named after
those they serve. Rooms never import each other in a circle, and no notebook imports from a wing: `experiment`
hands on what notebooks need.

Ground: what is read
    settings               what a run consists of: the scales, and the variables of the environment
    world                  news from an invented world, with three dials  < settings
    corpora                the world, or your own files, checked on the way in  < reading settings world
    tokenization           a vocabulary, packed rows, labelled windows
The heart
    masking                what is hidden, for whole batches at once; useful alone
    plain_masking          the same as readable loops, as notebooks 02 and 03 build them
Loops that fit on a screen, as notebooks 04 and 05 build them
    model                  a tiny BERT, or any masked LM, that scores the hidden positions only  < settings
    boundary               hidden tokens foretold from the ends of their run  < masking model
    pretraining            the masked-LM loop  < boundary masking model settings tokenization
    finetuning             from labelled sentences to a tagger  < model settings tokenization
What is counted, and what it says
    scoring                mentions by length, F1, intervals
    portrait               a corpus in numbers: what its names are like  < corpora scoring tokenization
    verdicts               the five statements, judged by rules that were fixed beforehand  < scoring
    why                    what the models know: siblings, losses, whole names, probes, plateaus
                           < masking model scoring tokenization
What is shown
    figures                every figure of the series, with its values as text  < scoring
    contrasts              differences between arms, and the parts that figures of them share
                           < figures scoring
    contiguity             what contiguity brings: the ladder, its decomposition, curves, errors
                           < contrasts figures scoring
    maps                   where span masking wins: mask rates, vocabularies, the dials of the world
                           < contrasts figures scoring settings
    display                sentences and tokens as pictures and as text  < scoring
    suspects               masking functions with silent bugs, for an exercise
    checks                 self-checks of the exercises  < suspects
    collator               masking for other people's training loops  < masking tokenization
The experiment
    own_model              a pre-trained model of your own, opened and checked; text as its rows
                           < model tokenization
    blocks                 the reference, block by block: arms, conditions, seeds  < settings
    experiment             the grid, and the names that notebooks use
                           < masking model running settings verdicts
Wing: reading other people's files
    reading/files          from bytes to lines
    reading/splits         which file is which split  < reading
    reading/tables         from lines to rows: columns, CSV, JSON  < reading
    reading/schemes        how tags are spelt, and what they are in IOB2  < reading
    reading/columns        which column holds the words and which the tags  < reading
    reading/labelled       the labelled sentences of all splits  < reading
    reading/lines          a text in one piece, in memory or on the disk
    reading/overlap        held-out sentences in running text
    reading/fetching       from the hub to this disk: bounded in time, checked byte for byte  < reading
    reading/parquet        the hub's files: their columns and rows  < reading
    reading/pins           which commit and checksums of a set were recorded  < reading settings
    reading/hub            labelled sets and text of the hub, by name  < reading settings
    reading/text           unlabelled text, up to a number of words  < reading
Wing: running the experiment
    running/artifacts      what is made once: looked up under a key, built if missing  < settings
    running/checkpoints    training states that are whole or not there; signals that wait
    running/resume         budgets as branches of one training that can be stopped
                           < masking model pretraining running settings tokenization
    running/replicate      what all arms of a seed share
                           < corpora masking model own_model reading running scoring settings
                             tokenization world
    running/arm            one arm of one replicate: its keys, its making, its counts
                           < boundary finetuning model pretraining running scoring settings tokenization world
    running/plan           how many replicates fit, and in which precision
                           < finetuning model running settings verdicts
    running/reference      a block made seed by seed, going on from what is committed
                           < blocks corpora model own_model running settings world
    running/explanations   the measurements of `why` on a block's models, seed by seed
                           < blocks masking model running scoring settings tokenization why world
    running/executors      here, side by side, or wherever an executor runs it  < running
    running/adapting       a model of your own and its tagger as folders, with model cards
                           < finetuning own_model running scoring settings tokenization
    running/distributed    one training on several GPUs or machines  < pretraining running settings
Wing: publishing it
    publishing/notebooks   the notebooks as files, and executing them  < running settings
    publishing/colab       badges, the setup cell, the project's address, Google Drive  < publishing settings
    publishing/pages       executed notebooks as web pages  < publishing
    publishing/excerpts    what pages and slides for lecturers take from the notebooks
                           < coursework publishing settings
    publishing/slides      the source of the slides  < publishing settings
    publishing/book        the sources of the web book, and calling Sphinx  < publishing settings
    publishing/answer      what the reference found: the tables and figures that are quoted
                           < blocks contiguity contrasts figures maps running scoring verdicts
    publishing/report      a run told in words, and report.html  < figures publishing settings
    publishing/opening     the sentence that notebook 00 opens with  < experiment running scoring settings
Wing: assigning it
    coursework/archives    notebooks in folders and archives, within limits
    coursework/records     students, their seeds, and files that people type into  < coursework
    coursework/exercises   the graded exercises, and handing them out  < coursework publishing settings
    coursework/worker      the process that a student's code runs in
    coursework/syscalls    the system calls that such a process may not make
    coursework/sandbox     that process behind walls, within limits  < coursework
    coursework/answers     a student's cell, read as Jupyter reads it  < coursework
    coursework/collecting  what students hand in  < coursework
    coursework/written     answers in words, and the points for them  < coursework
    coursework/grades      the table of grades, and the feedback  < coursework
    coursework/grading     points, each in a process of its own  < coursework running settings
The door
    __main__               python -m helpers …
                           < blocks coursework experiment figures own_model publishing reading running
                             scoring settings
"""
