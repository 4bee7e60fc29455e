package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/wit"
)

// A plugin may add commands, which use a connector's settings and destination: `culvert COMMAND -p FILE …`. The
// commands and their options are known only after the plugin of FILE was called.

// Groups of commands in the help: Culvert's own commands, and the commands of plugins.
const (
	ownGroup  = "own"
	toolGroup = "plugin"
)

// addTools adds the commands of plugins. With -p it adds the named command, whose plugin is loaded when it runs.
// Otherwise it adds the commands of the built-in plugins for their help, and a command that reports a missing file.
func addTools(root *cobra.Command, args []string) {
	root.AddGroup(&cobra.Group{ID: ownGroup, Title: "Commands:"},
		&cobra.Group{ID: toolGroup, Title: "Commands of a connector's plugin, with -p FILE:"})
	for _, c := range root.Commands() {
		c.GroupID = ownGroup
	}
	root.SetHelpCommandGroupID(ownGroup)
	root.SetCompletionCommandGroupID(ownGroup)
	hasName := len(args) > 0 && !strings.HasPrefix(args[0], "-")
	name := ""
	if hasName {
		name = args[0]
	}
	isFound := !hasName || isKnown(root, name)
	if !isFound && hasFile(args) {
		root.AddCommand(newHiddenCommand(name+" -p FILE [options]", func(c *cobra.Command, args []string) error {
			return runTool(c, name, args)
		}))
		return
	}
	for _, c := range builtInTools() {
		if !isKnown(root, c.Name()) {
			root.AddCommand(c)
			isFound = isFound || c.Name() == name
		}
	}
	if !isFound {
		// Only a connector's plugin could have a command of that name.
		root.AddCommand(newHiddenCommand(name, func(*cobra.Command, []string) error {
			// The text follows a c, or a C at the beginning of a sentence.
			const file = "ommands of plugins, such as peek, need a connector's file: culvert %s -p FILE"
			if suggestions := root.SuggestionsFor(name); len(suggestions) > 0 {
				return asUsageError(fmt.Errorf("unknown command %q: did you mean %s? C"+file, name,
					strings.Join(suggestions, " or "), inLine(name)))
			}
			return asUsageError(fmt.Errorf("unknown command %q: c"+file, name, inLine(name)))
		}))
	}
}

// newHiddenCommand returns a command that parses its flags itself.
func newHiddenCommand(use string, run func(c *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Hidden: true, DisableFlagParsing: true, Args: cobra.ArbitraryArgs, RunE: run}
}

func hasFile(args []string) bool {
	_, isSet, err := parseFile(new(installation), args)
	return isSet || err != nil
}

// parseFile parses the flags that are needed to load a plugin: the flags of in, and -p. It ignores the plugin's flags.
func parseFile(in *installation, args []string) (file string, isSet bool, err error) {
	c := &cobra.Command{}
	in.flags(c, "warn")
	flags := c.Flags()
	flags.StringVarP(&file, "properties", "p", "", "`file` of the connector")
	flags.BoolP("help", "h", false, "")
	flags.ParseErrorsWhitelist.UnknownFlags = true
	// pflag would parse the attached value of an unknown flag as further short flags.
	err = flags.Parse(slices.DeleteFunc(slices.Clone(args), func(a string) bool {
		return len(a) > 2 && a[0] == '-' && a[1] != '-' && flags.ShorthandLookup(a[1:2]) == nil
	}))
	return file, flags.Changed("properties"), err
}

func isKnown(root *cobra.Command, name string) bool {
	return name == "help" || name == "completion" || strings.HasPrefix(name, "__") ||
		slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
}

// builtInTools returns the commands of the built-in plugins from the reference: loading the plugins would take a
// second.
func builtInTools() (list []*cobra.Command) {
	page, err := readReference("commands")
	if err != nil {
		panic(err) // the page exists
	}
	for _, section := range strings.Split(string(page), "\n## culvert ")[1:] {
		name, body, _ := strings.Cut(section, "\n\n")
		if strings.Contains(body, "\nculvert "+name+" -p FILE [flags]\n") {
			list = append(list, newHelpOnlyCommand(name, body))
		}
	}
	return list
}

// optionRow matches an option in the reference: -s, --service string, its default, its meaning.
var optionRow = regexp.MustCompile("(?m)^\\| `(?:-(.), )?--([^ `]+)(?: ([^`]+))?` \\| (?:`([^`]*)`)? *\\| (.*) \\|$")

// newHelpOnlyCommand returns a command with the help of a section of the reference. It fails without -p FILE.
func newHelpOnlyCommand(name, section string) *cobra.Command {
	about, _, _ := strings.Cut(section, "\n")
	c := &cobra.Command{
		Use:     name + " -p FILE [flags]",
		GroupID: toolGroup,
		Short:   strings.TrimSuffix(about, "."),
		Long:    about,
		Example: "  culvert " + name + " -p orders.properties --help   # as the plugin of that connector has it",
		Args:    cobra.ArbitraryArgs,
		RunE: func(*cobra.Command, []string) error {
			return asUsageError(errors.New("expected -p FILE, a connector's properties"))
		},
	}
	for _, row := range optionRow.FindAllStringSubmatch(section, -1) {
		value := row[3]
		meaning := strings.ReplaceAll(row[5], `\|`, "|")
		if value == "" {
			c.Flags().BoolP(row[2], row[1], false, meaning)
			continue
		}
		c.Flags().StringP(row[2], row[1], row[4], strings.Replace(meaning, value, "`"+value+"`", 1))
	}
	c.FParseErrWhitelist.UnknownFlags = true // the same command of another plugin has others
	return c
}

// runTool runs a command of the plugin of a connector's file. Its options are parsed after the plugin was called.
func runTool(parent *cobra.Command, name string, args []string) error {
	var in installation
	file, _, err := parseFile(&in, args)
	if err != nil {
		return asUsageError(err)
	}
	w, err := in.worker("")
	if err != nil {
		return err
	}
	tool, closeTool, err := openTool(parent, &in, w, file)
	if err != nil {
		return err
	}
	defer closeTool()
	tool.DisableRetries() // a user waits for the answer and can repeat the command
	commands, err := tool.Commands(parent.Context())
	if err != nil {
		return asFailure(err)
	}
	index := slices.IndexFunc(commands, func(c wit.Command) bool { return c.Name == name })
	if index < 0 {
		var names []string
		for _, c := range commands {
			names = append(names, inLine(c.Name))
		}
		return asUsageError(fmt.Errorf("no command %q: the plugin of %s has %s", name, file, strings.Join(names, ", ")))
	}
	command := newToolCommand(tool, commands[index])
	command.SetArgs(args)
	command.SetOut(parent.OutOrStdout())
	command.SetErr(parent.ErrOrStderr())
	return command.ExecuteContext(parent.Context())
}

// openTool opens the plugin of a connector's file, with the config providers of a worker. The caller calls closeTool.
func openTool(c *cobra.Command, in *installation, w *config.Worker, file string,
) (tool *check.Tool, closeTool func(), err error) {
	log, err := in.logger(c.ErrOrStderr())
	if err != nil {
		return nil, nil, err
	}
	connector, problems, err := config.LoadConnector(file, w.Providers)
	if err = cmp.Or(err, problems.Err()); err != nil {
		return nil, nil, asUsageError(err)
	}
	plugins, err := openPlugins(c, in, builtInPlugins())
	if err != nil {
		return nil, nil, err
	}
	lockouts, err := setup.OpenLockouts(in.data)
	if err != nil {
		plugins.Close()
		return nil, nil, asUsageError(err)
	}
	resolver := resolved.Resolver{Worker: w, Plugins: plugins}
	tool, err = check.OpenTool(c.Context(), resolver.Resolve(connector), lockouts, log)
	if err != nil {
		plugins.Close()
		return nil, nil, asUsageError(err)
	}
	return tool, func() { tool.Close(); plugins.Close() }, nil
}

func newToolCommand(tool *check.Tool, command wit.Command) *cobra.Command {
	var in installation
	var o output
	var format string
	var wait time.Duration
	c := &cobra.Command{
		Use:           "culvert " + command.Name + " -p FILE",
		Short:         inLine(command.Usage),
		Long:          shown.Line(command.Usage),
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	c.Flags().BoolP("help", "h", false, "help for "+inLine(command.Name))
	c.SetFlagErrorFunc(flagError)
	commonFlags(c, &in, &o, &format, &wait)
	for i := range command.Options {
		declareOption(c, &command.Options[i])
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if !slices.Contains(convert.SchemaFormats, format) {
			return asUsageError(fmt.Errorf("--format: expected one of %s, found %q",
				strings.Join(convert.SchemaFormats, ", "), format))
		}
		values := map[string]string{}
		for i := range command.Options {
			long, _ := optionNames(&command.Options[i])
			if f := c.Flags().Lookup(long); f.Changed {
				values[long] = f.Value.String()
			}
		}
		options, err := check.Options(command, values)
		if err != nil {
			return asUsageError(errors.New(inLine(err.Error())))
		}
		reply, err := runRetrying(c, tool, command.Name, options, wait)
		if err != nil {
			return asFailure(err)
		}
		return printToolResult(c.Context(), reply, command.Name, o, format, c.OutOrStdout())
	}
	return c
}

// commonFlags declares the flags of all plugin commands. Their options must not have these names, see
// [plugin.ReservedOptions].
func commonFlags(c *cobra.Command, in *installation, o *output, format *string, wait *time.Duration) {
	in.flags(c, "warn")
	c.Flags().StringP("properties", "p", "", "`file` of the connector")
	o.flag(c, "as JSON")
	c.Flags().StringVar(format, "format", convert.SchemaFormats[0], "`form` of schemas that the command answers: "+
		strings.Join(convert.SchemaFormats, ", "))
	c.Flags().DurationVar(wait, "wait", 0, "`time` to retry while the service does not respond or is not available")
}

// optionNames returns the long and the short flag of an option: the first name of each form among its name and aliases.
func optionNames(o *wit.ConfigKey) (long, short string) {
	for _, name := range o.Names() {
		switch {
		case len(name) == 1 && short == "":
			short = name
		case len(name) > 1 && long == "":
			long = name
		}
	}
	if long == "" {
		long = o.Name
	}
	return long, short
}

func declareOption(c *cobra.Command, o *wit.ConfigKey) {
	long, short := optionNames(o)
	value := ""
	help := shown.Line(o.Documentation)
	if o.DefaultValue != nil {
		value = *o.DefaultValue
	}
	if o.Kind == wit.KindBoolean {
		c.Flags().BoolP(long, short, value == "true", help)
	} else {
		c.Flags().StringP(long, short, value, help)
	}
	c.Flags().Lookup(long).DefValue = inLine(c.Flags().Lookup(long).DefValue)
}

// runRetrying runs a command of a plugin, and again while the service is away, until wait has elapsed.
func runRetrying(c *cobra.Command, tool *check.Tool, command string, options []wit.Setting,
	wait time.Duration) (reply wit.CommandResult, err error) {
	const retryPause = time.Second
	end := time.Now().Add(wait)
	for tries := 0; ; tries++ {
		reply, err = tool.Run(c.Context(), command, options)
		failure, ok := errors.AsType[*wit.Error](err)
		if !ok || failure.Kind != wit.ErrorTransient || time.Until(end) < retryPause {
			return reply, err
		}
		if tries == 0 {
			fmt.Fprintf(shown.Writer{To: c.ErrOrStderr()}, "%v; retrying for %v\n", err, wait)
		}
		if stopped := pause.For(c.Context(), retryPause); stopped != nil {
			return reply, err
		}
	}
}

func printToolResult(ctx context.Context, reply wit.CommandResult, command string, o output, format string,
	out io.Writer) error {
	if reply.Schemas != nil {
		rendered, err := convert.RenderSchemas(ctx, *reply.Schemas, format)
		if err != nil {
			return asFailure(fmt.Errorf("%s: %w", command, err))
		}
		fmt.Fprintln(out, string(shown.JSON(rendered)))
		return nil
	}
	document := []byte(*reply.Document)
	var err error
	if o.json {
		_, err = out.Write(append(shown.JSON(document), '\n'))
	} else {
		err = printDocument(out, document)
	}
	return asFailure(err)
}
