"""What every page needs: dependencies, templates, assets, the gate."""
