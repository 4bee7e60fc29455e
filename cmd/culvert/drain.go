package main

import "github.com/spf13/cobra"

func newDrain() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "drain",
		Short: "Have other workers of the group run what a worker runs, before it is stopped",
		Long: `Have the other workers of its group run what a worker runs, before it is stopped: as a preStop hook, say. It ends when they have it.
The worker is given nothing more until it is started again. Where it is the last of its group, it goes on, and the exit code is 1.`,
		Example: "  culvert drain --url http://connect.example.com:8083",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return r.did(c, "the worker", "is drained", r.call(c.Context(), "PUT /culvert/drain", nil, nil))
		},
	}
	r.flags(c)
	return c
}
