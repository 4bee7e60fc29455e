package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

func newDrain() *cobra.Command {
	r := &remote{}
	c := r.newRouteCommand(routeCommand{use: "drain", route: "PUT /culvert/drain", name: "the worker",
		message: "is drained",
		example: "  culvert drain --url http://connect.example.com:8083"})
	c.Short = "Have other workers of the group run what a worker runs, before it is stopped"
	c.Long = `Have the other workers of its group run what a worker runs, before it is stopped: as a preStop hook, for example. It ends
when they do. The worker gets nothing more until it is started again. The last worker of its group goes on, with exit
code 1. Connectors that no other worker can run are named.`
	drain := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := drain(c, args); err != nil {
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
	}
	r.flags(c)
	return c
}
