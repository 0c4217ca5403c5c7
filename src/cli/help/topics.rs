//! Owns the topics of help.

/// What can be read about besides the commands.
pub(crate) struct Topic {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What it tells, in a few words.
    pub(crate) about: &'static str,
    /// All of it.
    pub(crate) text: &'static str,
}

/// The table of exit codes, which the help of the program has as well.
pub(crate) const EXIT_CODES: &str = include_str!("topics/exit-codes.txt");

/// All topics.
pub(crate) const TOPICS: [Topic; 7] = [
    Topic { name: "exit-codes", about: "what the exit code of a command says", text: EXIT_CODES },
    Topic {
        name: "environment",
        about: "the variables that commands read",
        text: include_str!("topics/environment.txt"),
    },
    Topic { name: "filters", about: "which rows a search finds", text: include_str!("topics/filters.txt") },
    Topic { name: "values", about: "how columns are given their values", text: include_str!("topics/values.txt") },
    Topic { name: "output", about: "how results are written, and their JSON", text: include_str!("topics/output.txt") },
    Topic { name: "config", about: "the file that describes a cluster", text: include_str!("topics/config.txt") },
    Topic {
        name: "consistency",
        about: "what reads see, and what is kept",
        text: include_str!("topics/consistency.txt"),
    },
];

/// The topic of that name.
pub(crate) fn topic(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}
