//! The nodes of state trees: each is named by its bytes, and each is needed.

use rules::state_tree::{Node, Root};

use super::{PAGE, Step, Verify};
use crate::refusal::Answer;

/// Looks at every node. Which ones are needed is known once all events were looked at.
pub(super) async fn verify(verify: &mut Verify<'_>, total: u64) -> Answer<()> {
    let mut since = Vec::new();
    let mut unneeded = 0;
    loop {
        (verify.told)(Step::Nodes, verify.report.nodes, total);
        let page = store::verify::nodes(&verify.home.db, &since, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        since = last.clone();
        for (name, bytes) in page {
            verify.report.nodes += 1;
            match Root::from_bytes(&name) {
                Some(name) => {
                    if !name.names(&bytes) || Node::from_bytes(&bytes).is_none() {
                        verify.find(format!("the state node {name:?} is not what its name says"));
                    }
                    if !verify.needed.contains(&name.mark()) {
                        unneeded += 1;
                    }
                }
                None => verify.find(format!("a state node has a name of {} bytes", name.len())),
            }
        }
    }
    if unneeded > 0 {
        verify.find(format!("{unneeded} state nodes belong to no event: they only take space"));
    }
    Ok(())
}
