"""Where keys come from: the guest agent of a TEE, or a developer's seed that says so."""
