package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/takeover"
)

func newCluster() *cobra.Command {
	c := &cobra.Command{
		Use:   "cluster",
		Short: "Move connectors into a group of workers, and release its topics to Kafka Connect",
	}
	c.AddCommand(newAdopt(), newClusterCheck(), newClusterRelease())
	return c
}

// newGroupCommand adds the argument WORKER-FILE, the file of a worker of a group, to a command.
func newGroupCommand(c *cobra.Command, do func(c *cobra.Command, hostConfig host.Config) error) *cobra.Command {
	var in installation
	c.Use += " WORKER-FILE"
	c.RunE = func(c *cobra.Command, args []string) error {
		hostConfig, err := in.read(args, "", c.ErrOrStderr())
		if err != nil {
			return err
		}
		if hostConfig.Files.Worker == "" {
			return asUsageError(fmt.Errorf("%s: expected the file of a worker, found a connector's", args[0]))
		}
		hostConfig.Compiling = compilingReporter(c.ErrOrStderr())
		return asSetupError(asFailure(do(c, hostConfig)))
	}
	in.flags(c, "warn")
	return c
}

func newClusterCheck() *cobra.Command {
	var o output
	c := newGroupCommand(&cobra.Command{
		Use:   "check",
		Short: "Show what workers with this file would take over from the topics of a group",
		Long: `Show what workers with this file would take over from the topics of a group, Kafka Connect's or Culvert's, and what
prevents the rest from running: classes, settings, references, topics, rights, live members. It only reads. See culvert
reference guide/cluster. Exit code: 0 a start would take over everything, 1 the named items would not run.`,
		Example: "  culvert cluster check worker.properties\n  culvert cluster check worker.properties --json",
	}, func(c *cobra.Command, hostConfig host.Config) error {
		preview, err := takeover.Check(c.Context(), hostConfig)
		if err != nil {
			return err
		}
		document := map[string]any{
			"connectors": append([]takeover.Connector{}, preview.Connectors...),
			"problems":   append(config.Problems{}, preview.Problems...),
		}
		err = o.print(c.OutOrStdout(), document, func(out io.Writer) error {
			var rows [][]string
			for _, connector := range preview.Connectors {
				rows = append(rows, []string{inLine(connector.Name), inLine(connector.Class), connector.State,
					strconv.Itoa(connector.Tasks), strconv.Itoa(connector.Offsets)})
			}
			return errors.Join(printColumns(out, "NAME CLASS STATE TASKS OFFSETS", rows),
				printProblems(out, preview.Problems))
		})
		if err != nil || preview.Problems.Err() == nil {
			return err
		}
		return errors.New(countProblems(preview.Problems))
	})
	o.flag(c, "as JSON")
	return c
}

func newClusterRelease() *cobra.Command {
	return newGroupCommand(&cobra.Command{
		Use:   "release",
		Short: "Release the topics of a group to workers of Kafka Connect, or to another group",
		Long: `Release the topics of a group to workers of Kafka Connect, or to another group of Culvert. All of its workers must be
stopped: if some are alive, they are named and nothing is done. Producers of hung workers are fenced, and task
configurations are removed from the topic. See culvert reference guide/cluster. Exit code: 0 released, 1 not released,
or not completely.`,
		Example: "  culvert cluster release worker.properties",
	}, func(c *cobra.Command, hostConfig host.Config) error {
		release, err := takeover.Release(c.Context(), hostConfig)
		if err != nil {
			return err
		}
		out := c.OutOrStdout()
		fmt.Fprintf(out, "group %s: its leader is fenced\n", inLine(release.Group))
		for _, name := range slices.Sorted(maps.Keys(release.Fenced)) {
			fmt.Fprintf(out, "%s: %s fenced\n", inLine(name), number(release.Fenced[name], "transactional id"))
		}
		if err := printProblems(out, release.Problems); err != nil {
			return err
		}
		if release.Problems.Err() != nil {
			return errors.New(countProblems(release.Problems))
		}
		for _, name := range slices.Sorted(maps.Keys(release.Tasks)) {
			fmt.Fprintf(out, "%s: %s removed from topic %s\n", inLine(name), number(release.Tasks[name], "task"),
				release.Topic)
		}
		fmt.Fprintf(out, "topic %s: free for the next group that starts\n", release.Topic)
		return nil
	})
}

func newAdopt() *cobra.Command {
	var startOver bool
	c := newGroupCommand(&cobra.Command{
		Use:   "adopt",
		Short: "Move the connectors of a standalone worker into its group's topic",
		Long: `Move the connectors that REST created in the data folder of a standalone worker, with their target states, into
config.storage.topic of a worker's file. Nothing is written while a worker runs, or if something would be lost: other
settings of the same name, secrets that the topic would not keep, missing offsets. A second run finds nothing to do.
See culvert reference guide/cluster.`,
		Example: `  culvert cluster adopt --data /var/lib/culvert worker.properties`,
	}, func(c *cobra.Command, hostConfig host.Config) error {
		names, err := host.Import(c.Context(), hostConfig, startOver)
		if err == nil && len(names) == 0 {
			fmt.Fprintln(c.OutOrStdout(), "no connectors to move")
		}
		for _, name := range names {
			fmt.Fprintf(c.OutOrStdout(), "%s was moved into the group's topic\n", inLine(name))
		}
		return err
	})
	c.Flags().BoolVar(&startOver, "start-over", false,
		"also move connectors without offsets, which then start from the beginning")
	return c
}
