// Package inspect contains the source's commands that call a service: ping, list-entitysets, extract-schema, peek,
// list-services, active-subscriptions and delete-subscription.
package inspect

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Options of the commands, by the letters of the original's command line.
const (
	optionService = "s"
	optionSet     = "e"
	optionRows    = "n"
	optionPrefix  = "prefix"
	optionURL     = "u"
)

const commandActive = "active-subscriptions"

// maxPeeked limits the rows that peek returns.
const maxPeeked = 1000

var (
	serviceOption = setting.Define(optionService, wit.KindString, wit.High, nil,
		"Path of the service, such as /V2/Northwind/Northwind.svc. Default: the one that the connector reads.",
		setting.Alias("service"))
	setOption = setting.Define(optionSet, wit.KindString, wit.High, nil, "Name of the entity set.", setting.Required(),
		setting.Alias("entity-set"))
)

// arguments are the options of a command.
type arguments struct {
	root     string // path of the service
	set      string
	prefix   string
	link     string // URL of a subscription
	rows     int
	class    *sourceconfig.Component
	settings []wit.Setting // of the connector
}

// values returns a reader of the connector's settings.
func (a *arguments) values() setting.Values { return a.class.Values(a.settings) }

// Command is a command of the source that calls a service.
type Command struct {
	wit.Command
	run func(*probe.Prober, arguments) (wit.CommandResult, error)
}

// Commands lists all commands.
var Commands = []Command{
	{wit.Command{Name: "ping", Usage: "Fetches a service's document and metadata and reports what they contain.",
		Options: []wit.ConfigKey{setting.Define(optionService, wit.KindString, wit.High, nil,
			"Path of the service. Default: each service that the connector reads.", setting.Alias("service"))}}, ping},
	{wit.Command{Name: "list-entitysets", Usage: "Lists the entity sets of a service.",
		Options: []wit.ConfigKey{serviceOption}}, listSets},
	{wit.Command{Name: "extract-schema", Usage: "Shows the schemas of an entity set's keys and values.",
		Options: []wit.ConfigKey{serviceOption, setOption}}, extractSchema},
	{wit.Command{Name: "peek", Usage: "Shows the first rows of an entity set as in records, with their types. " +
		"Nothing is written. A set that the connector reads is read as configured there.",
		Options: []wit.ConfigKey{serviceOption, setOption, setting.Define(optionRows, wit.KindInt, wit.Medium,
			setting.Default("10"), "Number of rows.", setting.AtLeast(1), setting.AtMost(maxPeeked),
			setting.Alias("rows"))}}, peek},
	{wit.Command{Name: "list-services", Usage: "Lists the OData services in the catalogue of an SAP system.",
		Options: []wit.ConfigKey{setting.Define(optionPrefix, wit.KindString, wit.Medium, nil,
			"Prefix of the name or path. Default: all services.")}}, listServices},
	{wit.Command{Name: commandActive, Usage: "Lists the subscriptions that the connector's user has at a service of " +
		"SAP.", Options: []wit.ConfigKey{serviceOption}}, activeSubscriptions},
	{wit.Command{Name: "delete-subscription", Changes: true, Usage: "Deletes a subscription.",
		Options: []wit.ConfigKey{setting.Define(optionURL, wit.KindString, wit.High, nil,
			"URL of the subscription, as "+commandActive+" shows it.",
			setting.Required(), setting.Alias("url"))}}, deleteSubscription},
}

// Run runs the command with this name. settings are the connector's.
func Run(name string, options, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.CommandResult, error) {
	index := slices.IndexFunc(Commands, func(c Command) bool { return c.Name == name })
	if index < 0 {
		return wit.CommandResult{}, &wit.Error{Kind: wit.ErrorUnsupported, Message: "unknown command " + name +
			", expected ping, list-entitysets, extract-schema, peek, list-services, active-subscriptions, " +
			"delete-subscription, retire or doctor"}
	}
	args := arguments{rows: 10, class: sourceconfig.ConfiguredComponent(settings), settings: settings}
	command := &Commands[index]
	for i := range command.Options {
		option := &command.Options[i]
		argument := valueOf(options, option.Names())
		switch {
		case argument == "" && setting.IsRequired(option):
			return wit.CommandResult{}, odataerror.ForSetting(option.Name,
				name+" needs -"+option.Name+": "+option.Documentation)
		case argument == "":
			// not given: the default applies
		case option.Name == optionService:
			args.root = document.ServicePath(argument)
		case option.Name == optionSet:
			args.set = strings.Trim(argument, "/")
		case option.Name == optionPrefix:
			args.prefix = argument
		case option.Name == optionURL:
			args.link = argument
		default:
			n, ok := setting.ParseInt(wit.KindInt, argument)
			if !ok || n < 1 || n > maxPeeked {
				return wit.CommandResult{}, odataerror.ForSetting(optionRows, setting.Invalid(optionRows, argument,
					"expected 1 to "+strconv.Itoa(maxPeeked)))
			}
			args.rows = int(n)
		}
	}
	isService := func(option wit.ConfigKey) bool { return option.Name == optionService }
	if args.root == "" && name != "ping" && slices.ContainsFunc(command.Options, isService) {
		var err error
		if args.root, err = args.onlyService(name); err != nil {
			return wit.CommandResult{}, err
		}
	}
	return probe.Run(args.class.Dialect, state, answers, func(p *probe.Prober) (wit.CommandResult, error) {
		return command.run(p, args)
	})
}

// onlyService returns the service from which the connector reads the set of the command, or the only one that it reads.
func (a *arguments) onlyService(command string) (string, error) {
	sets := a.class.EntitySets(a.values())
	reads := sourceconfig.ServicePaths(sets)
	same := sourceconfig.ServicePaths(slices.DeleteFunc(sets, func(s sourceconfig.EntitySetConfig) bool {
		return s.Set != a.set
	}))
	for _, fitting := range [][]string{same, reads} {
		if len(fitting) == 1 && fitting[0] != "/" {
			return fitting[0], nil
		}
	}
	return "", odataerror.ForSetting(optionService, command+" needs -"+optionService+", the path of a service; the "+
		"connector reads: "+cmp.Or(strings.Join(reads, ", "), "none"))
}

func valueOf(options []wit.Setting, names []string) string {
	for _, o := range options {
		if slices.Contains(names, o.Name) {
			return strings.TrimSpace(o.Value)
		}
	}
	return ""
}

// ping returns an object for a service, an array for several.
func ping(p *probe.Prober, args arguments) (wit.CommandResult, error) {
	values := args.values()
	paths := []string{args.root}
	if args.root == "" {
		paths = sourceconfig.ServicePaths(args.class.EntitySets(values))
	}
	list := jsontext.NewArray()
	for _, path := range paths {
		contents, err := pingService(p, path, config.Query(values))
		if err != nil {
			return wit.CommandResult{}, err
		}
		list.Items = append(list.Items, contents)
	}
	switch len(list.Items) {
	case 0:
		return wit.CommandResult{}, odataerror.ForSetting(optionService, "the connector names no service: ping needs -"+
			optionService)
	case 1:
		return probe.JSONResult(list.Items[0]), nil
	}
	return probe.JSONResult(list), nil
}

func pingService(p *probe.Prober, root string, query uri.Query) (jsontext.Value, error) {
	model, err := p.Metadata(root, query)
	answer, missing := p.Get(document.ServiceRequest(p.Dialect, root, query)) // in the same round
	if err = cmp.Or(err, missing); err != nil {
		return jsontext.Value{}, err
	}
	collections, err := document.ReadService(root, answer)
	if err != nil {
		return jsontext.Value{}, err
	}
	types := 0
	for _, s := range model.Structures {
		if !s.Complex {
			types++
		}
	}
	return jsontext.NewObject(
		probe.TextMember("service", root),
		member("collections", number(len(collections))),
		member("entitySets", number(len(model.Sets))),
		member("entityTypes", number(types)),
		member("functionImports", number(len(model.Functions))),
	), nil
}

func member(name string, v jsontext.Value) jsontext.Member {
	return jsontext.Member{Name: name, Value: v}
}

func number[T int | int8 | int16 | int32 | int64](n T) jsontext.Value {
	return jsonNumber(strconv.FormatInt(int64(n), 10))
}

func jsonNumber(text string) jsontext.Value { return jsontext.Value{Kind: jsontext.Number, Text: text} }

func listSets(p *probe.Prober, a arguments) (wit.CommandResult, error) {
	model, err := p.Metadata(a.root, config.Query(a.values()))
	if err != nil {
		return wit.CommandResult{}, err
	}
	list := jsontext.NewArray()
	for _, entitySet := range model.Sets {
		var keys []string
		if t := model.Structure(entitySet.Type); t != nil {
			keys = t.Key
		}
		list.Items = append(list.Items, jsontext.NewObject(
			probe.TextMember("name", document.SetAddress(entitySet)),
			probe.TextMember("type", entitySet.Type),
			probe.TextMember("key", strings.Join(keys, ",")),
			member("creatable", jsontext.NewBool(entitySet.Creatable)),
			member("deletable", jsontext.NewBool(entitySet.Deletable)),
			member("changeTracking", jsontext.NewBool(entitySet.ChangeTracking)),
			probe.TextMember("label", entitySet.Label),
		))
	}
	return probe.JSONResult(list), nil
}

// extractSchema returns the schemas of keys, if any, and values. The host prints them in the requested form.
func extractSchema(p *probe.Prober, a arguments) (wit.CommandResult, error) {
	feed, _, err := feedOf(p, a)
	if err != nil {
		return wit.CommandResult{}, err
	}
	var schemas []wit.Schema
	if feed.Key.Nodes != nil {
		schemas = append(schemas, feed.Key)
	}
	schemas = append(schemas, feed.Value)
	return wit.CommandResult{Schemas: &schemas}, nil
}

// feedOf returns the feed of an entity set, as configured for the connector or with default settings, and the metadata
// of its service.
func feedOf(p *probe.Prober, args arguments) (*feedreader.Feed, *edm.Model, error) {
	values := args.values()
	model, err := p.Metadata(args.root, config.Query(values))
	if err != nil {
		return nil, nil, err
	}
	for _, e := range args.class.EntitySets(values) {
		if e.Service == args.root && e.Set == args.set {
			feed, err := feedreader.New(e, model)
			return feed, model, err
		}
	}
	e := sourceconfig.EntitySetConfig{Dialect: args.class.Dialect, Query: config.Query(values),
		Identity:     sourceconfig.Identity{Number: "00", Service: args.root, Set: args.set},
		PagingConfig: sourceconfig.PagingConfig{Count: true}}
	e.Options.ScaleFallback = values.Int(sourceconfig.ScaleFallback)
	feed, err := feedreader.New(e, model)
	return feed, model, err
}
