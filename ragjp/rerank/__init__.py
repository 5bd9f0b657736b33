"""A better order for the candidates: late interaction (MaxSim) and diversity (MMR), each with a readable reference."""
