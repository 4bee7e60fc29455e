package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/host/shown"
)

func newDrain() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "drain",
		Short: "Have other workers of the group run what a worker runs, before it is stopped",
		Long: `Have the other workers of its group run what a worker runs, before it is stopped: as a preStop hook, say. It ends when they have it.
The worker is given nothing more until it is started again. Where it is the last of its group, it goes on, and the exit code is 1.
Connectors that no other worker can run are named, with the reason: they run nowhere then.`,
		Example: "  culvert drain --url http://connect.example.com:8083",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			err := r.did(c, "the worker", "is drained", r.call(c.Context(), "PUT /culvert/drain", nil, nil))
			if err != nil {
				return err
			}
			var group rest.Group
			if err := r.get(c.Context(), "/culvert/cluster", &group); err != nil {
				fmt.Fprintf(c.ErrOrStderr(), "whether all connectors run is not known: %v\n", err)
			}
			for _, name := range slices.Sorted(maps.Keys(group.Unplaced)) {
				fmt.Fprintf(c.ErrOrStderr(), "%s: no worker runs it, or tasks of it: %s\n", inLine(name),
					shown.Line(group.Unplaced[name]))
			}
			return nil
		},
	}
	r.flags(c)
	return c
}
