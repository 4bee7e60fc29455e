package plugin

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// MaxCommands is the maximum number of commands of a plugin, and of options of each.
const MaxCommands = 100

// ReservedOptions are the options that culvert adds to every plugin command.
var ReservedOptions = []string{"data", "format", "h", "help", "json", "log-format", "log-level", "p", "plugins",
	"properties", "set", "wait"}

// ReservedCommands are culvert's own commands, which have precedence. doctor is not one of them: culvert doctor also
// runs the plugin's command.
var ReservedCommands = []string{"broker", "cluster", "completion", "connectors", "consume", "diff", "dlq", "drain",
	"help", "init", "offsets", "plugins", "produce", "reference", "run", "status", "test", "topics", "tunnel",
	"validate", "version"}

var commandName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// CheckCommands rejects commands whose names cannot be typed, are not unique, or are reserved.
func CheckCommands(commands []wit.Command) error {
	if len(commands) > MaxCommands {
		return fmt.Errorf("commands: expected at most %d, found %d", MaxCommands, len(commands))
	}
	names := map[string]bool{}
	for i := range commands {
		command := &commands[i]
		if !commandName.MatchString(command.Name) || names[command.Name] {
			return fmt.Errorf("command %.100q: expected a unique name of letters, digits, dots and dashes",
				command.Name)
		}
		names[command.Name] = true
		if slices.Contains(ReservedCommands, command.Name) {
			return fmt.Errorf("command %s: expected another name, since culvert has a command %s", command.Name,
				command.Name)
		}
		if len(command.Options) > MaxCommands {
			return fmt.Errorf("command %s: expected at most %d options, found %d", command.Name, MaxCommands,
				len(command.Options))
		}
		seen := map[string]bool{}
		for o := range command.Options {
			for _, name := range command.Options[o].Names() {
				switch {
				case !commandName.MatchString(name):
					return fmt.Errorf("command %s, option %.100q: expected a name of letters, digits, dots and dashes",
						command.Name, name)
				case slices.Contains(ReservedOptions, name):
					return fmt.Errorf("command %s, option %s: expected another name, since culvert "+
						"adds an option %s to every command", command.Name, dashed(name), dashed(name))
				case seen[name]:
					return fmt.Errorf("command %s, option %s: expected unique names and letters", command.Name,
						dashed(name))
				}
				seen[name] = true
			}
		}
	}
	return nil
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
