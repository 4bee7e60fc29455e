package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host"
	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/shown"
)

// maxOffered is how many values are listed for a question.
const maxOffered = 40

// initOptions are the answers that the flags of init give.
type initOptions struct {
	name, file, protocol, host, user, password, client, service string
	port                                                        int
	sets, properties                                            []string
	yes, clear                                                  bool
}

func newInit() *cobra.Command {
	var in installation
	var o initOptions
	c := &cobra.Command{
		Use:   "init [-o FILE]",
		Short: "Write the file of a source connector, by questions and by what the service says",
		Long: `Write the file of a connector that reads an OData service. What no option says is asked for; services, entity sets and properties
are offered as the service has them. With --yes nothing is asked: what is not given has its default or stays away. The file is written when a
check with the service finds nothing wrong in it, and never over another. Instead of a password it holds a reference to one, unless
--password-in-file is given. Exit code: 0 written, 1 something is wrong, 2 wrong use.`,
		Example: `  culvert init -o orders.properties
  SAP_PASSWORD=secret culvert init --yes --host sap.example.com --user me --service /sap/opu/odata/sap/MY_SRV --entity-set MySet`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runInit(c, &in, &o) },
	}
	in.flags(c, "error")
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "`name` of the connector (default: the first entity set's)")
	f.StringVarP(&o.file, "output", "o", "", "`file` to write, - for stdout (default: NAME.properties)")
	f.StringVar(&o.protocol, "protocol", "https", "http or https")
	f.StringVar(&o.host, "host", "", "`name` or address of the service's host")
	f.IntVar(&o.port, "port", 0, "its `port` (default: the protocol's)")
	f.StringVar(&o.user, "user", "", "`user`; none for services without a logon")
	f.StringVar(&o.password, "password", "${env:SAP_PASSWORD}",
		"`reference` to the password: ${env:NAME}, ${file:PATH:KEY} or ${dir:PATH:KEY}")
	f.BoolVar(&o.clear, "password-in-file", false, "let the file hold the password itself")
	f.StringVar(&o.client, "client", "", "SAP `client`, three digits (default: the system's)")
	f.StringVar(&o.service, "service", "", "`path` of the service")
	f.StringSliceVar(&o.sets, "entity-set", nil, "`names` of entity sets, each read into a topic")
	f.StringSliceVar(&o.properties, "select", nil, "`properties` to read of the first entity set (default: all)")
	f.BoolVarP(&o.yes, "yes", "y", false, "ask nothing")
	return c
}

// initiation is the file of a connector in the making.
type initiation struct {
	options *initOptions
	ask     func(question, standard string, offered []string) (string, error)
	given   func(flag string) bool
	checker *check.Checker
	say     io.Writer
	entries []config.Entry
}

func runInit(c *cobra.Command, in *installation, o *initOptions) error {
	log, err := in.logger(c.ErrOrStderr())
	if err != nil {
		return err
	}
	w, err := in.worker("")
	if err != nil {
		return err
	}
	m, err := openPlugins(c, in, true)
	if err != nil {
		return err
	}
	defer m.Close()
	lockouts, err := host.OpenLockouts(in.data)
	if err != nil {
		return wrong(err)
	}
	i := &initiation{options: o, given: c.Flags().Changed, say: shown.Writer{To: c.ErrOrStderr()},
		checker: &check.Checker{Worker: w, Plugins: m, Kafka: kafka.Defaults(), Embedded: true,
			Registry: record.NewRegistry(), Lockouts: lockouts, Online: check.NewOnline(log, check.OnlineTime),
			Logon: true}}
	i.ask = i.questions(c.InOrStdin())
	if err := i.answers(c.Context()); err != nil {
		return err
	}
	if err := i.examine(c.Context()); err != nil {
		return err
	}
	return i.write(c.OutOrStdout())
}

// questions asks on stderr and reads answers from in, one a line; an empty one is the standard, a number one of what is
// offered. With --yes every answer is the standard.
func (i *initiation) questions(in io.Reader) func(string, string, []string) (string, error) {
	lines := bufio.NewScanner(in)
	return func(question, standard string, offered []string) (string, error) {
		if i.options.yes {
			return standard, nil
		}
		for n, value := range offered[:min(len(offered), maxOffered)] {
			fmt.Fprintf(i.say, "%4d  %s\n", n+1, value)
		}
		if len(offered) > maxOffered {
			fmt.Fprintf(i.say, "      and %d more\n", len(offered)-maxOffered)
		}
		fmt.Fprintf(i.say, "%s [%s]: ", question, standard)
		if !lines.Scan() {
			if err := lines.Err(); err != nil {
				return "", failed(err)
			}
			return "", wrong(fmt.Errorf("%s: expected an answer, found the end of the input", question))
		}
		var values []string
		for _, value := range config.List(lines.Text()) {
			if n, err := strconv.Atoi(value); err == nil && n >= 1 && n <= min(len(offered), maxOffered) {
				value = offered[n-1]
			}
			values = append(values, value)
		}
		if len(values) == 0 {
			return standard, nil
		}
		return strings.Join(values, ","), nil
	}
}

// answer is what a flag says, or the answer to a question.
func (i *initiation) answer(flag, value, question string, offered []string) (string, error) {
	if i.given(flag) {
		return value, nil
	}
	text, err := i.ask(question, value, offered)
	return strings.TrimSpace(text), err
}

func (i *initiation) set(name, value string) {
	if value != "" {
		i.entries = append(i.entries, config.NewEntry(name, value, "the answers", len(i.entries)+1))
	}
}

func missing(flag string) error {
	return wrong(fmt.Errorf("--%s is needed: without it there is nothing to write", flag))
}

// answers goes through the questions, with what the service recommends as soon as it can be asked.
func (i *initiation) answers(ctx context.Context) (err error) {
	o := i.options
	next := func(into *string, flag, question string, offered []string) {
		if err == nil {
			*into, err = i.answer(flag, *into, question, offered)
		}
	}
	next(&o.protocol, "protocol", "Protocol", []string{"https", "http"})
	next(&o.host, "host", "Host of the OData service", nil)
	if err == nil && o.host == "" {
		return missing("host")
	}
	if o.port == 0 {
		o.port = map[bool]int{true: 80, false: 443}[strings.EqualFold(o.protocol, "http")]
	}
	port := strconv.Itoa(o.port)
	next(&port, "port", "Port", nil)
	next(&o.user, "user", "User", nil)
	if o.user != "" {
		next(&o.password, "password", "Reference to the password", nil)
		if err == nil && !strings.HasPrefix(o.password, "${") && !o.clear {
			return wrong(errors.New("--password: expected a reference such as ${env:SAP_PASSWORD}, found something " +
				"else; --password-in-file lets the file hold the password itself"))
		}
	}
	next(&o.client, "client", "SAP client, empty for the system's", nil)
	if err != nil {
		return err
	}
	i.set("connector.class", "ODataSource")
	i.set("sap.odata.host.protocol", o.protocol)
	i.set("sap.odata.host.address", o.host)
	i.set("sap.odata.host.port", port)
	if o.user != "" {
		i.set("sap.odata.user.name", o.user)
		i.set("sap.odata.user.pwd", o.password)
	}
	i.set("sap.odata.sap.client", o.client)
	return i.sets(ctx, next, &err)
}

// sets asks what is to be read.
func (i *initiation) sets(ctx context.Context, next func(*string, string, string, []string), err *error) error {
	o := i.options
	offered := func(name string) []string {
		if o.yes || *err != nil {
			return nil
		}
		return i.recommended(ctx, name)
	}
	if !i.given("service") {
		next(&o.service, "service", "Service", offered("sap.odata#00.service"))
	}
	if *err == nil && o.service == "" {
		return missing("service")
	}
	i.set("sap.odata#00.service", o.service)
	if len(o.sets) == 0 {
		names := ""
		next(&names, "entity-set", "Entity sets, with commas between them", offered("sap.odata#00.entityset"))
		o.sets = config.List(names)
	}
	if *err == nil && len(o.sets) == 0 {
		return missing("entity-set")
	}
	for n, name := range o.sets {
		prefix := fmt.Sprintf("sap.odata#%02d.", n)
		if n > 0 {
			i.set(prefix+"service", o.service)
		}
		i.set(prefix+"entityset", name)
		topic := strings.Map(topicLetter, name)
		next(&topic, "topic", "Topic of "+name, nil)
		i.set(prefix+"topic", topic)
		chosen := ""
		if n == 0 {
			chosen = strings.Join(o.properties, ",")
		}
		if chosen == "" {
			next(&chosen, "properties", "Properties of "+name+" with commas between them, empty for all",
				offered(prefix+"select"))
		}
		i.set(prefix+"select", chosen)
	}
	name := o.name
	if name == "" && len(o.sets) > 0 {
		name = strings.ToLower(strings.Map(topicLetter, o.sets[0]))
	}
	next(&name, "name", "Name of the connector", nil)
	o.name = name
	i.entries = slices.Insert(i.entries, 0, config.NewEntry("name", name, "the answers", 0))
	return *err
}

// topicLetter puts _ where a topic's name can't have a letter.
func topicLetter(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
		return r
	}
	return '_'
}

// validated checks what there is so far. Where a reference leads nowhere, the service isn't asked: what stands there
// would be shown to it as a password.
func (i *initiation) validated(ctx context.Context) (*check.Validation, config.Problems, error) {
	c, problems := config.NewConnector("the answers", slices.Clone(i.entries), i.checker.Worker.Providers)
	checker := *i.checker
	if problems.Err() != nil {
		checker.Online = nil
	}
	v, err := checker.Validate(ctx, c)
	return v, problems, err
}

// recommended are the values that the service knows for a setting; none where it can't be asked, which is said.
func (i *initiation) recommended(ctx context.Context, name string) []string {
	v, problems, err := i.validated(ctx)
	if err != nil {
		fmt.Fprintln(i.say, "Nothing can be offered:", err)
		return nil
	}
	for _, p := range problems {
		fmt.Fprintln(i.say, "Nothing can be offered:", p.Text)
	}
	var values []string
	for _, c := range v.Configs {
		if c.Value.Name == name {
			values = c.Value.Recommended
			if _, hint, ok := strings.Cut(c.Definition.Documentation, "(No services are suggested: "); ok {
				fmt.Fprintln(i.say, "Nothing can be offered:", strings.TrimSuffix(hint, ")"))
			}
		}
		if strings.HasPrefix(c.Value.Name, "sap.odata.user.") {
			for _, text := range c.Value.Errors {
				fmt.Fprintln(i.say, text)
			}
		}
	}
	return values
}

// examine refuses what is wrong.
func (i *initiation) examine(ctx context.Context) error {
	v, problems, err := i.validated(ctx)
	if err != nil {
		return failed(err)
	}
	for _, p := range problems {
		fmt.Fprintf(i.say, "%s: not checked with the service: %s\n", p.Setting, p.Text)
	}
	var errs []string
	for _, c := range v.Configs {
		for _, text := range c.Value.Errors {
			if slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Setting == c.Value.Name }) {
				continue // it has been said
			}
			errs = append(errs, c.Value.Name+": "+text)
		}
	}
	if len(errs) > 0 {
		return failed(errors.New(strings.Join(errs, "\n") + "\nnothing is written"))
	}
	return nil
}

// write writes the file, which must not be there.
func (i *initiation) write(stdout io.Writer) error {
	c, _ := config.NewConnector("the answers", slices.Clone(i.entries), i.checker.Worker.Providers)
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by culvert init. All settings: culvert reference source\n")
	declared := i.checker.Declared(c)
	for _, e := range i.entries {
		if spec, ok := declared.Find(e.Key); ok {
			fmt.Fprintf(&b, "\n# %s\n", shown.Line(spec.Documentation))
		}
		fmt.Fprintln(&b, config.PropertiesLine(e.Key, e.Raw))
	}
	file := i.options.file
	if file == "" {
		file = i.options.name + ".properties"
	}
	if file == "-" {
		_, err := stdout.Write(b.Bytes())
		return failed(err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return failed(err)
	}
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(file)
		return failed(err)
	}
	fmt.Fprintf(i.say, "%s is written: culvert validate %s, culvert run --once %s\n", file, file, file)
	return nil
}
