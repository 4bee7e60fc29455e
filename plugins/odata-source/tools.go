package main

import (
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/inspect"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/retire"
	"github.com/culvert-project/culvert/wit"
)

// Commands are those that the source adds to the command line.
func (p *plugin) Commands() (all []wit.Command) {
	for _, c := range inspect.Commands {
		all = append(all, c.Command)
	}
	return append(all, retire.Declare(), probe.DoctorCommand())
}

// Run runs one of them.
func (p *plugin) Run(command string, options []wit.Setting, given []wit.Setting, state []byte,
	answers []wit.Response) (wit.CommandResult, error) {
	switch command {
	case probe.Doctor:
		return probe.Steps(services(given), config.Query(entry.Table.Values(given)), options, state, answers)
	case retire.Command:
		return retire.Run(given, state, answers)
	}
	return inspect.Run(command, options, given, state, answers)
}

// services are those of the connector's entity sets, for the doctor.
func services(given []wit.Setting) []probe.Service {
	var list []probe.Service
	for _, e := range entry.Entries(entry.Table.Values(given)) {
		list = append(list, probe.Service{Path: e.Service, Setting: config.InGroup(e.Number, entry.NameService),
			Sets: []probe.Set{{Name: e.Set, Setting: config.InGroup(e.Number, entry.NameEntitySet), Atom: e.Atom,
				Find: e.Find}}})
	}
	return list
}
