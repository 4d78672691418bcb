//! The strict in-memory engine, the fault decorator and the contract suite.
