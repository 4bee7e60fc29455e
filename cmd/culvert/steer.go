package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host/rest"
)

// Commands for what a worker does beyond Kafka Connect, below /culvert/ of its REST.

func newPluginsSwap() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "swap NAME HASH",
		Short: "Have a worker's connectors get one version of a plugin, before newer ones",
		Long: `Have the connectors of a running worker get one version of a plugin, before newer ones, until another file of the plugin comes. HASH is
the SHA-256 of its file, as GET /culvert/plugins of the worker shows it. Tasks take it over at their next page or batch.`,
		Example: "  culvert plugins swap odata-source 5fe2…c1 --url http://connect.example.com:8083",
		Args:    these("NAME", "HASH"),
		RunE: func(c *cobra.Command, args []string) error {
			return r.did(c, args[0], "is to be version "+args[1], r.call(c.Context(),
				"PUT /culvert/plugins/{name}/swap", map[string]string{"hash": args[1]}, nil, args[0]))
		},
	}
	r.flags(c)
	return c
}

func newPluginsAccept() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "accept NAME HASH",
		Short: "Have a worker take a version of a plugin that gives other roles to settings",
		Long: `Have a running worker take a version of a plugin that gives other roles to settings than the version before, such as that of a password,
and waits for that. HASH is the SHA-256 of its file, as GET /culvert/plugins of the worker shows it; look at its differences there first. It
holds over restarts, for this worker of a group. The worker wants a user of rest.basic.auth.file or a client's certificate.`,
		Example: "  culvert plugins accept odata-source 5fe2…c1 --user anna",
		Args:    these("NAME", "HASH"),
		RunE: func(c *cobra.Command, args []string) error {
			return r.did(c, args[0], "has the version "+args[1]+" accepted", r.call(c.Context(),
				"PUT /culvert/plugins/{name}/accept", map[string]string{"hash": args[1]}, nil, args[0]))
		},
	}
	r.flags(c)
	return c
}

func newPluginsRollback() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:     "rollback NAME",
		Short:   "Have a worker's connectors get the version before the present one of a plugin",
		Example: "  culvert plugins rollback odata-source",
		Args:    one("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			return r.did(c, args[0], "is to be the version before", r.call(c.Context(),
				"PUT /culvert/plugins/{name}/rollback", nil, nil, args[0]))
		},
	}
	r.flags(c)
	return c
}

func (r *remote) newSnapshot() *cobra.Command {
	return &cobra.Command{
		Use:   "snapshot NAME FEED",
		Short: "Have a feed of a source read whole once more, beside going on",
		Long: `Have a feed of a source, such as an entity set, read whole once more, beside going on from its offset, as soon as what it is reading is
read. Feeds are those that culvert connectors show NAME lists.`,
		Args: these("NAME", "FEED"), ValidArgsFunction: r.complete,
		RunE: func(c *cobra.Command, args []string) error {
			var asked struct {
				Snapshot string `json:"snapshot"`
			}
			err := r.call(c.Context(), "POST /culvert/connectors/{name}/feeds/{feed}/snapshot", nil, &asked, args...)
			return r.did(c, args[0], fmt.Sprintf("is to read %s as snapshot %s", inLine(args[1]),
				inLine(asked.Snapshot)), err)
		},
	}
}

func (r *remote) newLockouts() *cobra.Command {
	c := &cobra.Command{
		Use:   "lockouts",
		Short: "List logons that services have refused, which a worker does not send again",
		Long: `List logons that services have refused, as a running worker knows them: SAP locks users, so a refused secret is not sent again before it
changes, or before culvert connectors lockouts resume.`,
		Example: `  culvert connectors lockouts
  culvert connectors lockouts resume --url http://connect.example.com:8083`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var found rest.Lockouts
			if err := r.get(c.Context(), "/culvert/lockouts", &found); err != nil {
				return err
			}
			return failed(r.show(c.OutOrStdout(), found))
		},
	}
	c.AddCommand(&cobra.Command{
		Use: "resume", Short: "Have refused logons tried once more, by all programs of the worker's user",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var done struct {
				Resumed int `json:"resumed"`
			}
			err := r.call(c.Context(), "PUT /culvert/lockouts/resume", nil, &done)
			return r.did(c, number(done.Resumed, "refused logon"), "to be tried once more", err)
		},
	})
	return c
}

// did prints what was done to something, where err is nil.
func (r *remote) did(c *cobra.Command, name, did string, err error) error {
	return r.each(c, 1, func(int) (string, string, error) { return name, did, err })
}
