package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host"
)

func newAdopt() *cobra.Command {
	var startOver bool
	c := newGroupCommand(&cobra.Command{
		Use:   "adopt",
		Short: "Bring the connectors of a worker that was alone into its group's topic",
		Long: `Bring the connectors that REST made in a data folder while its worker was alone, and which of its connectors were paused or stopped,
into config.storage.topic of a worker's file. Then their files are moved into connectors.adopted in the data folder, and the worker can
join its group. Whatever is cut off is repeated: a second run finds nothing to do.

Nothing is written while a worker is at work in the data folder or in the group; where the topic has a connector of the same name with
other settings; where a reference needs a config provider that config.providers does not name, since what stands in the topic counts as
REST's; where config.storage.secrets=refuse and a password stands in a file; or where offset.storage.topic, or the group of a sink, has no
offsets of a connector, which would begin from the start. Connectors in files that --config names are not looked at: where
offset.storage.topic is another one, or on other brokers, than the worker had alone, they begin from the start.`,
		Example: `  culvert cluster adopt --data /var/lib/culvert worker.properties`,
	}, func(c *cobra.Command, config host.Config) error {
		names, err := host.Adopt(c.Context(), config, startOver)
		if err == nil && len(names) == 0 {
			fmt.Fprintln(c.OutOrStdout(), "no connectors were to be brought")
		}
		for _, name := range names {
			fmt.Fprintf(c.OutOrStdout(), "%s was brought into the group's topic\n", inLine(name))
		}
		return err
	})
	c.Flags().BoolVar(&startOver, "start-over", false, "take connectors that have no offsets, which begin from the start")
	return c
}
