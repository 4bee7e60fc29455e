package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/wit"
)

// maxOffered bounds the listed values of a question.
const maxOffered = 40

func newInit() *cobra.Command {
	var in installation
	d := &initDialog{}
	c := &cobra.Command{
		Use:   "init [-o FILE]",
		Short: "Write the file of a source connector, by questions and suggestions of the service",
		Long: `Write the file of a connector that reads an OData service. The command asks for everything that no option sets, and
suggests services, entity sets and properties of the service, shows three rows of each set, and asks again after a
wrong answer. With --yes it asks nothing and uses the defaults. The file is written only if a check with the service
succeeds, and never over another file; after an error another file has the answers. It contains a reference to the
password. A password that is typed instead goes into NAME.secrets, which only its owner can read, or with
--password-in-file into the connector's file. Exit code: 0 written, 1 a check failed, 2 wrong use.`,
		Example: `  culvert init -o orders.properties
  SAP_PASSWORD=secret culvert init --yes --host sap.example.com --user me --service /sap/opu/odata/sap/MY_SRV --entity-set MySet`,
		RunE: func(c *cobra.Command, _ []string) error { return d.run(c, &in) },
	}
	in.flags(c, "error")
	f := c.Flags()
	f.String("name", "", "`name` of the connector (default: the first entity set's)")
	f.StringVarP(&d.file, "output", "o", "", "`file` to write, - for stdout (default: NAME.properties)")
	f.String("class", "ODataSource", "`class` of the connector: ODataSource for services of OData v2, OData4Source for v4")
	f.String("protocol", "https", "http or https")
	f.String("host", "", "`name` or address of the service's host")
	f.Int("port", 0, "its `port` (default: the protocol's)")
	f.String("user", "", "`user`; none for services without a logon")
	f.String("password", "${env:SAP_PASSWORD}",
		"`reference` to the password: ${env:NAME}, ${file:PATH:KEY} or ${dir:PATH:KEY}")
	f.BoolVar(&d.passwordInFile, "password-in-file", false, "write the password itself into the file")
	f.String("client", "", "SAP `client`, three digits (default: the system's)")
	f.String("service", "", "`path` of the service")
	f.StringSlice("entity-set", nil, "`names` of entity sets, each read into a topic")
	f.StringSlice("select", nil, "`properties` to read of the first entity set (default: all)")
	f.BoolVarP(&d.isYes, "yes", "y", false, "ask nothing")
	d.flags = f
	return c
}

type initDialog struct {
	file           string // "" means NAME.properties, - stdout
	isYes          bool   // ask nothing
	passwordInFile bool   // write the password itself into the file
	flags          *pflag.FlagSet
	checker        *check.Checker
	answerLines    *bufio.Scanner
	out            io.Writer
	entries        []config.Entry // the settings so far
	err            error          // ends the dialog
}

func (i *initDialog) run(c *cobra.Command, in *installation) error {
	if err := i.checkFlags(); err != nil {
		return err
	}
	log, err := in.logger(c.ErrOrStderr())
	if err != nil {
		return err
	}
	w, err := in.worker("")
	if err != nil {
		return err
	}
	plugins, err := openPlugins(c, in, builtInPlugins())
	if err != nil {
		return err
	}
	defer plugins.Close()
	lockouts, err := setup.OpenLockouts(in.data)
	if err != nil {
		return asUsageError(err)
	}
	i.answerLines = bufio.NewScanner(c.InOrStdin())
	i.out = shown.Writer{To: c.ErrOrStderr()}
	i.checker = &check.Checker{Worker: w, Plugins: plugins, Kafka: kafka.Defaults(), Embedded: true,
		Registry: record.NewRegistry(), Lockouts: lockouts, Logger: log, Wait: check.OnlineTimeout, Logon: true}
	name := cmp.Or(i.answers(c.Context()), "connector")
	file := i.file
	if file == "" || file == "-" {
		file = name + ".properties"
	}
	if err = i.err; err == nil {
		err = i.check(c.Context())
	}
	if err == nil {
		err = i.write(c.OutOrStdout(), file)
	}
	if err != nil && !i.isYes && len(i.entries) > 1 { // besides the class
		dir, draftErr := os.MkdirTemp("", "culvert-init-")
		draft := filepath.Join(dir, filepath.Base(file))
		if draftErr == nil {
			_, draftErr = i.writeFiles(draft, nil)
		}
		if draftErr != nil {
			return errors.Join(err, draftErr)
		}
		return fmt.Errorf("%w\nonly %s is written: it has the answers", err, draft)
	}
	return err
}

// checkFlags returns the errors of flags that would otherwise end the dialog after its questions.
func (i *initDialog) checkFlags() error {
	if password, isSet := i.flagValue("password"); isSet && i.isTyped(password) {
		return asUsageError(errors.New("--password: expected a reference such as ${env:SAP_PASSWORD}, found " +
			"something else; --password-in-file writes the password itself into the file"))
	}
	if i.file == "" || i.file == "-" {
		return nil
	}
	return asFailure(checkNew(i.file))
}

// isTyped reports whether a password is no reference, and must not be in the connector's file.
func (i *initDialog) isTyped(password string) bool {
	return !strings.HasPrefix(password, "${") && !i.passwordInFile
}

// checkNew returns why a file cannot be created.
func checkNew(file string) error {
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s exists: expected the name of a new file", file)
	}
	_, err := os.Stat(filepath.Dir(file))
	return err
}

// answers asks for all settings, with suggestions of the service once it is reachable, and returns the connector's
// name. Wrong answers are asked for again.
func (i *initDialog) answers(ctx context.Context) (name string) {
	class, _ := i.flags.GetString("class")
	i.set("connector.class", class)
	protocol := i.setting(ctx, "sap.odata.host.protocol", "protocol", "https", "Protocol", "https", "http")
	i.setting(ctx, "sap.odata.host.address", "host", "", "Host of the OData service")
	port := "443"
	if strings.EqualFold(protocol, "http") {
		port = "80"
	}
	if answer, isSet := i.flagValue("port"); isSet && answer == "0" {
		i.set("sap.odata.host.port", port)
	} else {
		i.setting(ctx, "sap.odata.host.port", "port", port, "Port")
	}
	const service = "sap.odata#00.service"
	services := i.logon(ctx, service)
	path := i.setting(ctx, service, "service", "", "Service", services...)
	for n, set := range i.sets(ctx, path) {
		prefix := fmt.Sprintf("sap.odata#%02d.", n)
		flag := "select"
		if n > 0 {
			flag = ""
			i.set(prefix+"service", path)
		}
		i.set(prefix+"entityset", set)
		i.setting(ctx, prefix+"topic", "", strings.Map(topicLetter, set), "Topic of "+set)
		properties := i.recommended(ctx, flag, prefix+"select")
		i.setting(ctx, prefix+"select", flag, emptyDefault,
			"Properties of "+set+" with commas between them, empty for all", properties...)
		i.peek(ctx, path, set)
		if n == 0 {
			name = strings.ToLower(strings.Map(topicLetter, set))
		}
	}
	if i.err == nil {
		for {
			name = cmp.Or(i.answer("name", name, "Name of the connector"), name)
			err := checkNew(name + ".properties")
			if err == nil || i.file != "" || !i.isAsked("name") {
				break
			}
			fmt.Fprintln(i.out, err)
		}
		i.entries = slices.Insert(i.entries, 0, config.NewEntry("name", name, "the answers", 0))
	}
	return name
}

// emptyDefault is the default of a question that needs no answer. [initDialog.setting] trims it to "".
const emptyDefault = " "

func (i *initDialog) isAsked(flag string) bool {
	_, isSet := i.flagValue(flag)
	return !isSet && !i.isYes && i.err == nil
}

// setting asks a question until its answer is a value of the setting without errors, adds the setting to entries, and
// returns the value. If defaultValue is "", an answer is required.
func (i *initDialog) setting(ctx context.Context, name, flag, defaultValue, question string, offered ...string) string {
	for {
		var value string
		if defaultValue == "" {
			value = i.requiredAnswer(flag, question, offered...)
		} else {
			value = strings.TrimSpace(i.answer(flag, strings.TrimSpace(defaultValue), question, offered...))
		}
		count := len(i.entries)
		i.set(name, value)
		if !i.isAsked(flag) || !i.printErrors(ctx, func(setting string) bool { return setting == name }) {
			return value
		}
		i.entries = i.entries[:count]
	}
}

// printErrors prints the errors of the selected settings so far, and reports whether there are any.
func (i *initDialog) printErrors(ctx context.Context, isSelected func(setting string) bool) (hasErrors bool) {
	v, _, err := i.validate(ctx)
	if err != nil {
		return false // the last check returns it
	}
	for _, c := range v.Configs {
		if !isSelected(c.Value.Name) {
			continue
		}
		for _, problem := range c.Value.Errors {
			fmt.Fprintln(i.out, problem)
			hasErrors = true
		}
	}
	return hasErrors
}

const passwordSetting = "sap.odata.user.pwd"

// logon asks for user, password and client until the service accepts them, and returns the services that it suggests.
func (i *initDialog) logon(ctx context.Context, service string) (services []string) {
	for {
		count := len(i.entries)
		if user := i.answer("user", "", "User"); user != "" {
			password := i.answer("password", i.flags.Lookup("password").DefValue, "Reference to the password, or the "+
				"password")
			if i.err == nil && i.isTyped(password) {
				fmt.Fprintln(i.out, "this is no reference, so it is used as the password: it will be in a file of its "+
					"own that only you can read, and the connector's file will refer to that")
			}
			i.set("sap.odata.user.name", user)
			i.set(passwordSetting, password)
		}
		i.set("sap.odata.sap.client", i.answer("client", "", "SAP client, empty for the system's"))
		services = i.recommended(ctx, "service", service)
		if (!i.isAsked("user") && !i.isAsked("password")) || !i.printErrors(ctx, func(setting string) bool {
			return strings.HasPrefix(setting, "sap.odata.user.") || setting == "sap.odata.sap.client"
		}) {
			return services
		}
		i.entries = i.entries[:count]
	}
}

// sets asks for entity sets until the service has all of them.
func (i *initDialog) sets(ctx context.Context, path string) []string {
	offered := i.recommended(ctx, "entity-set", "sap.odata#00.entityset")
	for {
		sets := config.List(i.requiredAnswer("entity-set", "Entity sets, with commas between them", offered...))
		if i.err != nil || !i.isAsked("entity-set") {
			return sets
		}
		entries := slices.Clone(i.entries)
		for n, set := range sets {
			prefix := fmt.Sprintf("sap.odata#%02d.", n)
			if n > 0 {
				i.set(prefix+"service", path)
			}
			i.set(prefix+"entityset", set)
			i.set(prefix+"topic", strings.Map(topicLetter, set))
		}
		hasErrors := i.printErrors(ctx, func(setting string) bool { return strings.HasSuffix(setting, ".entityset") })
		i.entries = entries
		if !hasErrors {
			return sets
		}
	}
}

const peekedRows = "3"

func (i *initDialog) peek(ctx context.Context, path, set string) {
	if i.isYes || i.err != nil {
		return
	}
	connector, problems := i.connector()
	if problems.Err() != nil {
		return
	}
	tool, err := check.OpenTool(ctx, connector, i.checker.Lockouts, i.checker.Logger)
	if err != nil {
		fmt.Fprintln(i.out, "No rows:", err)
		return
	}
	defer tool.Close()
	tool.DisableRetries()
	document, err := tool.Document(ctx, "peek", []wit.Setting{{Name: "s", Value: path}, {Name: "e", Value: set},
		{Name: "n", Value: peekedRows}})
	var answer struct{ Rows []json.RawMessage }
	if err == nil {
		err = json.Unmarshal([]byte(document), &answer)
	}
	if err == nil {
		err = printTable(i.out, answer.Rows)
	}
	if err != nil {
		fmt.Fprintln(i.out, "No rows:", err)
	}
}

func (i *initDialog) flagValue(flag string) (string, bool) {
	f := i.flags.Lookup(flag)
	if f == nil || !f.Changed {
		return "", false
	}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return strings.Join(list.GetSlice(), ","), true
	}
	return f.Value.String(), true
}

// answer returns the value of a flag, else the answer to a question. An empty answer means the default. With offered
// values an answer is a list of values or of their numbers, else any text. With --yes every answer is the default. The
// end of the input sets i.err.
func (i *initDialog) answer(flag, defaultValue, question string, offered ...string) string {
	if value, isSet := i.flagValue(flag); isSet {
		return value
	}
	if i.isYes || i.err != nil {
		return defaultValue
	}
	listed := offered[:min(len(offered), maxOffered)]
	for n, value := range listed {
		fmt.Fprintf(i.out, "%4d  %s\n", n+1, value)
	}
	if len(offered) > maxOffered {
		fmt.Fprintf(i.out, "      and %d more\n", len(offered)-maxOffered)
	}
	fmt.Fprintf(i.out, "%s [%s]: ", question, defaultValue)
	if !i.answerLines.Scan() {
		if i.err = asFailure(i.answerLines.Err()); i.err == nil {
			i.err = asUsageError(fmt.Errorf("%s: expected an answer, found the end of the input", question))
		}
		return ""
	}
	if len(offered) == 0 { // a password may contain commas
		return cmp.Or(strings.TrimSpace(i.answerLines.Text()), defaultValue)
	}
	var values []string
	for _, value := range config.List(i.answerLines.Text()) {
		if n, err := strconv.Atoi(value); err == nil && n >= 1 && n <= len(listed) {
			value = listed[n-1]
		}
		values = append(values, value)
	}
	return cmp.Or(strings.Join(values, ","), defaultValue)
}

// requiredAnswer asks a question until its answer is not empty. An empty value of the flag, or --yes, sets i.err.
func (i *initDialog) requiredAnswer(flag, question string, offered ...string) string {
	for {
		value := i.answer(flag, "", question, offered...)
		switch {
		case i.err != nil || strings.Trim(value, " ,") != "":
			return value
		case !i.isAsked(flag):
			i.err = asUsageError(fmt.Errorf("--%s is required", flag))
			return value
		}
		fmt.Fprintln(i.out, "expected an answer, found none")
	}
}

func (i *initDialog) set(name, value string) {
	if value != "" {
		i.entries = append(i.entries, config.NewEntry(name, value, "the answers", len(i.entries)+1))
	}
}

func topicLetter(r rune) rune {
	if (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9') || r == '.' || r == '-' {
		return r
	}
	return '_'
}

// connector returns the connector of the answers so far, and the problems of its references.
func (i *initDialog) connector() (*resolved.Connector, config.Problems) {
	c, problems := config.NewConnector("the answers", slices.Clone(i.entries), i.checker.Worker.Providers)
	return i.checker.Resolver().Resolve(c), problems
}

// validate checks the settings so far. If a reference cannot be resolved, the service is not queried: it would receive
// the reference as a password.
func (i *initDialog) validate(ctx context.Context) (*check.Validation, config.Problems, error) {
	c, problems := i.connector()
	checker := *i.checker
	if problems.Err() != nil {
		checker.Wait = 0
	}
	v, err := checker.Validate(ctx, c)
	return v, problems, err
}

// recommended returns the service's values for a setting, nil if it is not asked. If the service cannot be queried, it
// prints why.
func (i *initDialog) recommended(ctx context.Context, flag, name string) []string {
	if _, isSet := i.flagValue(flag); isSet || i.isYes || i.err != nil {
		return nil
	}
	v, problems, err := i.validate(ctx)
	if err != nil {
		fmt.Fprintln(i.out, "No suggestions:", err)
		return nil
	}
	for _, p := range problems {
		fmt.Fprintln(i.out, "No suggestions:", p.Text)
	}
	var values []string
	for _, c := range v.Configs {
		if c.Value.Name == name {
			values = c.Value.RecommendedValues
			// The plugin adds a hint in parentheses to the documentation.
			if _, hint, ok := strings.Cut(c.Definition.Documentation, "(No services are suggested: "); ok {
				fmt.Fprintln(i.out, "No suggestions:", strings.TrimSuffix(hint, ")"))
			}
		}
	}
	return values
}

// check returns the errors of the settings, except those with unresolved references, which it prints.
func (i *initDialog) check(ctx context.Context) error {
	v, problems, err := i.validate(ctx)
	if err != nil {
		return asFailure(err)
	}
	for _, p := range problems {
		fmt.Fprintf(i.out, "%s: not checked with the service: %s\n", p.Setting, p.Text)
	}
	var errs []string
	for _, c := range v.Configs {
		for _, message := range c.Value.Errors {
			if slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Setting == c.Value.Name }) {
				continue // it was printed above
			}
			errs = append(errs, c.Value.Name+": "+message)
		}
	}
	if len(errs) > 0 {
		return asFailure(errors.New(strings.Join(errs, "\n")))
	}
	return nil
}

// write writes the connector's file, or to stdout, and a file with a typed password.
func (i *initDialog) write(stdout io.Writer, file string) error {
	if i.file != "-" {
		stdout = nil
	}
	secrets, err := i.writeFiles(file, stdout)
	if err != nil {
		return asFailure(err)
	}
	if secrets != "" {
		fmt.Fprintf(i.out, "%s is written: it has the password, and only you can read it\n", secrets)
	}
	if stdout == nil {
		fmt.Fprintf(i.out, "%s is written: culvert validate %s, culvert run --once %s\n", file, file, file)
	}
	return nil
}

// writeFiles writes the settings so far to a file, or to stdout unless it is nil. It writes a typed password to another
// file, whose name it returns, and a reference in its place. The files must not exist.
func (i *initDialog) writeFiles(file string, stdout io.Writer) (secrets string, err error) {
	c, _ := i.connector()
	declared := c.Class.Component.Table()
	var b, password bytes.Buffer
	fmt.Fprintf(&b, "# Written by culvert init. All settings: culvert reference source\n")
	for _, e := range i.entries {
		if e.Key == passwordSetting && i.isTyped(e.Raw) {
			secrets, err = filepath.Abs(strings.TrimSuffix(file, filepath.Ext(file)) + ".secrets")
			fmt.Fprintln(&password, config.PropertiesLine("password", e.Raw))
			e.Raw = "${file:" + secrets + ":password}"
		}
		if spec, ok := declared.Find(e.Key); ok {
			fmt.Fprintf(&b, "\n# %s\n", shown.Line(spec.Documentation))
		}
		fmt.Fprintln(&b, config.PropertiesLine(e.Key, e.Raw))
	}
	if secrets != "" && err == nil {
		err = writeNew(secrets, password.Bytes())
	}
	switch {
	case err != nil:
		return "", err
	case stdout != nil:
		_, err = stdout.Write(b.Bytes())
	default:
		err = writeNew(file, b.Bytes())
	}
	if err != nil && secrets != "" {
		os.Remove(secrets)
	}
	return secrets, err
}

// writeNew creates a file that only its owner can read. The file must not exist.
func writeNew(file string, content []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(file)
	}
	return err
}
