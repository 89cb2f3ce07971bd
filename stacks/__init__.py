"""How the service "cachao" deploys the settlement: its environments and its stack."""
