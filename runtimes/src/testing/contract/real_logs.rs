//! The output of real processes.

use std::time::Duration;

use super::lab::{Lab, next, texts};
use super::{Broken, Outcome, holds};
use crate::{LogOptions, StreamKind};

/// Runs a script to its end; the id.
async fn ran(lab: &Lab, script: &str) -> Result<String, Broken> {
    let id = lab.start(&lab.spec_running(&["sh", "-c", script])).await?;
    lab.ended(&id).await?;
    Ok(id)
}

pub(super) async fn streams_are_told_apart_in_order(lab: &Lab) -> Outcome {
    let id =
        ran(lab, "for i in 1 2 3 4 5; do echo out $i; sleep 0.05; echo err $i >&2; sleep 0.05; done").await?;
    let lines = lab.log(&id, &LogOptions::default()).await?;
    for (stream, word) in [(StreamKind::Stdout, "out"), (StreamKind::Stderr, "err")] {
        let of_stream: Vec<_> = lines.iter().filter(|line| line.stream == stream).cloned().collect();
        let wanted: Vec<_> = (1..=5).map(|number| format!("{word} {number}")).collect();
        holds!(texts(&of_stream) == wanted, "{:?}", texts(&of_stream));
        holds!(of_stream.iter().all(|line| line.time.is_some()), "a line without a time");
        holds!(of_stream.is_sorted_by_key(|line| line.time), "times go back");
    }
    Ok(())
}

pub(super) async fn a_tail_is_the_end(lab: &Lab) -> Outcome {
    let id = ran(lab, "for i in 1 2 3 4 5; do echo $i; done").await?;
    for (tail, wanted) in [(2, &["4", "5"][..]), (0, &[]), (99, &["1", "2", "3", "4", "5"])] {
        let options = LogOptions { tail: Some(tail), ..LogOptions::default() };
        let lines = lab.log(&id, &options).await?;
        holds!(texts(&lines) == wanted, "a tail of {tail}: {:?}", texts(&lines));
    }
    Ok(())
}

pub(super) async fn since_leaves_out_what_was_before(lab: &Lab) -> Outcome {
    // Some engines keep whole seconds only.
    let id = ran(lab, "echo early; sleep 2.2; echo late").await?;
    let lines = lab.log(&id, &LogOptions::default()).await?;
    holds!(texts(&lines) == ["early", "late"], "{:?}", texts(&lines));
    let options = LogOptions { since: lines[1].time, ..LogOptions::default() };
    let lines = lab.log(&id, &options).await?;
    holds!(texts(&lines) == ["late"], "{:?}", texts(&lines));
    Ok(())
}

pub(super) async fn lines_are_told_while_they_are_written(lab: &Lab) -> Outcome {
    let id = lab.start(&lab.spec_running(&["sh", "-c", "echo one; sleep 2; echo two; sleep 60"])).await?;
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut lines = lab.runtime.logs(&id, &options).await?;
    for wanted in ["one", "two"] {
        let line = next(&mut lines).await?;
        let line = line?;
        holds!(line.bytes == wanted.as_bytes(), "{line:?} is not {wanted}");
    }
    let state = lab.runtime.inspect(&id).await?.state;
    holds!(state == crate::ContainerState::Running, "the lines came when it was {state:?}");
    Ok(())
}

pub(super) async fn a_last_line_need_not_end(lab: &Lab) -> Outcome {
    let id = ran(lab, "printf 'whole\\n\\npart'").await?;
    let lines = lab.log(&id, &LogOptions::default()).await?;
    holds!(texts(&lines) == ["whole", "", "part"], "{:?}", texts(&lines));
    Ok(())
}

pub(super) async fn a_huge_line_comes_in_pieces(lab: &Lab) -> Outcome {
    let id = ran(lab, "head -c 200000 /dev/zero | tr '\\0' x; echo; echo end").await?;
    let lines = lab.log(&id, &LogOptions::default()).await?;
    let longest = lines.iter().map(|line| line.bytes.len()).max().unwrap_or(0);
    holds!(longest <= 64 << 10, "a piece of {longest} bytes");
    let (last, pieces) = lines.split_last().ok_or_else(|| Broken("no lines".to_owned()))?;
    holds!(last.bytes == b"end", "the last line is {:?}", texts(&lines).last().map(String::len));
    let whole: Vec<u8> = pieces.iter().flat_map(|line| line.bytes.clone()).collect();
    holds!(whole.len() == 200_000, "{} of 200000 bytes came", whole.len());
    holds!(whole.iter().all(|byte| *byte == b'x'), "something else is in it");
    Ok(())
}

pub(super) async fn a_log_of_a_dead_container_is_kept(lab: &Lab) -> Outcome {
    let id = lab.start(&lab.spec_running(&["sh", "-c", "echo before; sleep 60"])).await?;
    lab.until("the line is there", async || {
        Ok((!lab.log(&id, &LogOptions::default()).await?.is_empty()).then_some(()))
    })
    .await?;
    lab.runtime.stop(&id, Duration::ZERO).await?;
    let lines = lab.log(&id, &LogOptions::default()).await?;
    holds!(texts(&lines) == ["before"], "{:?}", texts(&lines));
    Ok(())
}
