package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host"
)

func newCluster() *cobra.Command {
	c := &cobra.Command{
		Use:   "cluster",
		Short: "Bring connectors into a group of workers, and give its topics back to Kafka Connect",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		newAdopt(),
		newClusterCheck(),
		newClusterRelease(),
	)
	return c
}

// newGroupCommand makes a command whose argument is the file of a worker of a group.
func newGroupCommand(c *cobra.Command, do func(c *cobra.Command, config host.Config) error) *cobra.Command {
	var in installation
	c.Use += " WORKER-FILE"
	c.Args = one("WORKER-FILE")
	c.RunE = func(c *cobra.Command, args []string) error {
		config, err := in.read(args, "", c.ErrOrStderr())
		if err != nil {
			return err
		}
		if config.Files.Worker == "" {
			return wrong(fmt.Errorf("%s: expected the file of a worker, found a connector's", args[0]))
		}
		config.Compiling = compiling(c.ErrOrStderr())
		return setUp(failed(do(c, config)))
	}
	in.flags(c, "warn")
	return c
}

func newClusterCheck() *cobra.Command {
	var asJSON bool
	c := newGroupCommand(&cobra.Command{
		Use:   "check",
		Short: "Show what workers with this file would take over from the topics of a group",
		Long: `Show what workers with this file would take over from the topics of a group, Kafka Connect's or Culvert's: connectors with what they
are to do, how many tasks they have, and how many offsets (of a sink: partitions that its consumer group has committed). A line follows for
each problem: classes that no plugin of this machine has, settings that this program refuses, references to config providers that
config.providers does not open, topics that workers could not use, rights that are missing, live members; and warnings, such as for secrets in
clear text and for an open transaction that hides records. Values of secrets are not shown. It only reads. Exit code: 0 a start would take over everything, 1 what is named would not run.`,
		Example: `  culvert cluster check worker.properties
  culvert cluster check worker.properties --json`,
	}, func(c *cobra.Command, config host.Config) error {
		t, err := host.CheckTakeover(c.Context(), config)
		if err != nil {
			return err
		}
		if err := printTakeover(c, t, asJSON); err != nil || t.Problems.Err() == nil {
			return err
		}
		return errors.New(count(t.Problems))
	})
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func printTakeover(c *cobra.Command, t host.Takeover, asJSON bool) error {
	if asJSON {
		return printJSON(c.OutOrStdout(), map[string]any{"connectors": append([]host.TakeoverConnector{},
			t.Connectors...), "problems": problemsAsJSON(t.Problems)})
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tCLASS\tSTATE\tTASKS\tOFFSETS")
	for _, k := range t.Connectors {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\n", inLine(k.Name), inLine(k.Class), k.State, k.Tasks, k.Offsets)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return printProblems(c, t.Problems, false)
}

func newClusterRelease() *cobra.Command {
	return newGroupCommand(&cobra.Command{
		Use:   "release",
		Short: "Give the topics of a group back to workers of Kafka Connect",
		Long: `Give the topics of a group back to workers of Kafka Connect, when all workers of Culvert's are stopped: live ones are named, and nothing is
done. The leader and all transactional producers that tasks had are fenced, so that a worker that hangs commits nothing once Kafka Connect's
run, which fence one producer of each task alone; a line for each connector says how many. Tasks without such producers write at least once,
also when they hang: end their processes. Then the topic says that no connector has tasks, since Kafka Connect's workers would run those of
Culvert's until they have planned their own: a paused connector shows tasks again when it goes on. Connectors, states and offsets have Kafka
Connect's form already. Its workers need the classes that culvert cluster check shows, and log "Discarding config update record with invalid
key" for each key that begins with culvert-, with no other effect. Exit code: 0 released, 1 not, or not all.`,
		Example: "  culvert cluster release worker.properties",
	}, func(c *cobra.Command, config host.Config) error {
		fenced, problems, err := host.ReleaseGroup(c.Context(), config)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(fenced)) {
			fmt.Fprintf(c.OutOrStdout(), "%s: %s fenced\n", inLine(name), number(fenced[name], "transactional id"))
		}
		if err := printProblems(c, problems, false); err != nil || problems.Err() == nil {
			return err
		}
		return errors.New(count(problems))
	})
}
