package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/shown"
)

func newDrain() *cobra.Command {
	r := &remote{}
	c := r.newRouteCommand(routeCommand{use: "drain", route: "PUT /culvert/drain", name: "the worker",
		message: "is drained", example: "  culvert drain --url http://connect.example.com:8083"})
	c.Short = "Move everything that a worker runs to the other workers of its group"
	c.Long = `Move everything that a worker runs to the other workers of its group, before it is stopped, for example in a preStop
hook. The command returns when they run it. The worker receives no new assignment until it is restarted. The last
worker of a group keeps running, with exit code 1. Connectors that no other worker can run are named.`
	drain := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := drain(c, args); err != nil {
			return err
		}
		var group groupview.Group
		if err := r.get(c.Context(), "/culvert/cluster", &group); err != nil {
			fmt.Fprintf(c.ErrOrStderr(), "it is unknown whether all connectors run: %v\n", err)
		}
		for _, name := range slices.Sorted(maps.Keys(group.Unplaced)) {
			fmt.Fprintf(c.ErrOrStderr(), "%s: no worker runs it, or tasks of it: %s\n", inLine(name),
				shown.Line(group.Unplaced[name]))
		}
		return nil
	}
	r.flags(c)
	return c
}
