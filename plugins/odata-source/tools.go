package main

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/checkup"
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/inspect"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/retire"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

func (p *plugin) Commands() []wit.Command {
	root := setting.Spec(inspect.OptionService, wit.KindText, wit.High, nil,
		"Path of the service, such as /V2/Northwind/Northwind.svc.",
		setting.Required(), setting.Alias("service"))
	set := setting.Spec(inspect.OptionSet, wit.KindText, wit.High, nil, "Name of the entity set.", setting.Required(),
		setting.Alias("entity-set"))
	return []wit.Command{
		{Name: "ping", Usage: "Fetches a service's document and metadata and says what was found.",
			Options: []wit.SettingSpec{root}},
		{Name: "list-entitysets", Usage: "Lists the entity sets of a service.", Options: []wit.SettingSpec{root}},
		{Name: "extract-schema", Usage: "Shows the schemas of an entity set's keys and values.",
			Options: []wit.SettingSpec{root, set}},
		{Name: inspect.CommandPeek,
			Usage: "Shows the first rows of an entity set as they will be in records, with their " +
				"types; nothing is written anywhere. A set of the connector's file is read as that " +
				"says.", Options: inspect.PeekOptions(root, set)},
		{Name: inspect.CommandServices,
			Usage: "Lists the OData services of an SAP system, as its catalogue service has them.",
			Options: []wit.SettingSpec{
				setting.Spec(inspect.OptionPrefix, wit.KindText, wit.Medium, nil,
					"Only services whose name or path begins so.")}},
		{Name: retire.Command,
			Usage: "Ends what a connector has opened at its services: the queues of changes of " +
				"ODP, and subscriptions. Stop the connector first, and delete it or its offsets afterwards."},
		{Name: inspect.CommandActive,
			Usage:   "Lists the subscriptions that the connector's user has at a service of SAP.",
			Options: []wit.SettingSpec{root}},
		{Name: inspect.CommandDelete, Usage: "Deletes a subscription.", Options: []wit.SettingSpec{
			setting.Spec(inspect.OptionURL, wit.KindText, wit.High, nil,
				"URL of the subscription, as "+inspect.CommandActive+
					" shows it.", setting.Required(),
				setting.Alias("url"))}},
		checkup.Declare(),
	}
}

// Run asks for the service's documents first and answers with what they say.
func (p *plugin) Run(command string, options []wit.Setting, given []wit.Setting, state []byte,
	answers []wit.Response) (wit.Reply, error) {
	if command == checkup.Command {
		return checkup.Run(services(given), config.Query(entry.Table.Values(given)), options, answers)
	}
	if command == retire.Command {
		return retire.Run(given, state, answers)
	}
	if command == inspect.CommandServices {
		return inspect.ListServices(inspect.Option(options, inspect.OptionPrefix), given, state, answers)
	}
	if command == inspect.CommandDelete {
		return inspect.DeleteSubscription(inspect.Option(options, inspect.OptionURL, "url"), given, answers)
	}
	root, set := inspect.Option(options, inspect.OptionService, "service"), inspect.Option(options, inspect.OptionSet,
		"entity-set")
	switch {
	case command != "ping" && command != "list-entitysets" && command != "extract-schema" &&
		command != inspect.CommandPeek &&
		command != inspect.CommandActive:
		return wit.Reply{}, &wit.Fault{Kind: wit.FaultUnsupported, Message: "unknown command " + command +
			", expected ping, list-entitysets, extract-schema, peek, list-services, active-subscriptions, " +
			"delete-subscription, retire or doctor"}
	case root == "":
		return wit.Reply{}, fault.Config(inspect.OptionService, command+" needs the service's path: -s /path")
	case (command == "extract-schema" || command == inspect.CommandPeek) && set == "":
		return wit.Reply{}, fault.Config(inspect.OptionSet, command+" needs the entity set's name: -e NAME")
	}
	root = service.Path(root)
	if command == inspect.CommandActive {
		return inspect.ActiveSubscriptions(root, given, state, answers)
	}
	if command == inspect.CommandPeek {
		rows := 10
		if text := inspect.Option(options, inspect.OptionRows, "rows"); text != "" {
			n, ok := setting.Integer(wit.KindInt, text)
			if !ok || n < 1 || n > inspect.MaxPeeked {
				return wit.Reply{}, fault.Config(inspect.OptionRows, setting.Invalid(inspect.OptionRows, text,
					"expected 1 to "+strconv.Itoa(inspect.MaxPeeked)))
			}
			rows = int(n)
		}
		return inspect.Peek(root, strings.Trim(set, "/"), rows, given, state, answers)
	}
	if len(answers) == 0 {
		query := config.Query(entry.Table.Values(given))
		need := &wit.Need{Requests: []wit.Request{service.MetadataRequest(root, query)}}
		if command == "ping" {
			need.Requests = append(need.Requests, service.DocumentRequest(root, query))
		}
		return wit.Reply{Ask: need}, nil
	}
	m, err := service.ReadMetadata(root, &answers[0])
	if err != nil {
		return wit.Reply{}, err
	}
	var v jsontext.Value
	switch command {
	case "ping":
		v, err = inspect.Ping(root, m, answers)
	case "list-entitysets":
		v = inspect.ListSets(m)
	default:
		return inspect.ExtractSchema(root, set, m, given)
	}
	if err != nil {
		return wit.Reply{}, err
	}
	return wit.Reply{Document: wit.Ptr(string(jsontext.Append(nil, v)))}, nil
}

// services are those of the connector's entity sets, for the doctor.
func services(given []wit.Setting) []checkup.Service {
	var list []checkup.Service
	for _, e := range entry.Entries(entry.Table.Values(given)) {
		list = append(list, checkup.Service{Path: e.Service, Setting: config.InGroup(e.Number, entry.NameService),
			Sets: []checkup.Set{{Name: e.Set, Setting: config.InGroup(e.Number, entry.NameEntitySet), Atom: e.Atom,
				Find: e.Find}}})
	}
	return list
}
