package binary

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// interfaces lists the interfaces that a module can export, in the order of culvert.wit.
var interfaces = []string{wit.InterfacePlugin, wit.InterfaceTools, wit.InterfaceSource, wit.InterfaceNotifications,
	wit.InterfaceRetirement, wit.InterfaceProgress, wit.InterfaceSink, wit.InterfaceTransform}

// Functions are the contract's functions by interface and Go name.
var Functions = func() map[string]map[string]*canon.Func {
	functions := map[string]map[string]*canon.Func{}
	for _, i := range interfaces {
		functions[i] = map[string]*canon.Func{}
		for _, f := range canon.Functions(i) {
			functions[i][f.Method] = f
		}
	}
	return functions
}()

// ExportName returns a function's name in a module of that contract version.
func ExportName(version, iface, function string) string {
	return wit.Package + "/" + iface + "@" + version + "#" + function
}

// isCompatible reports whether a version has the major and minor number of this program's contract.
func isCompatible(version string) bool { return majorMinor(version) == majorMinor(wit.Version) }

func majorMinor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// CheckContract compares the module's exports and imports with the contract and returns its interfaces.
func (m *Module) CheckContract() (complete []string, err error) {
	for _, e := range m.Exports {
		if strings.HasPrefix(e.Name, "cm32p2") {
			return nil, fmt.Errorf("exports %q, a name of the mangling cm32p2 (standard32): expected the legacy "+
				"names of wasm-tools, such as %q", e.Name, wit.ExportName(wit.InterfacePlugin, "describe"))
		}
	}
	if m.Contract == "" {
		return nil, fmt.Errorf("not a plugin%s: expected exports of %s@%s, such as %q, found none", m.builtText(),
			wit.Package, wit.Version, wit.ExportName(wit.InterfacePlugin, "describe"))
	}
	if !isCompatible(m.Contract) {
		return nil, fmt.Errorf("built for version %s of the contract %s%s: expected %s (major.minor must match). "+
			"Build the plugin again: in Go with the package sdk/go of this release, in other languages with bindings "+
			"generated from its wit/culvert.wit. `culvert reference guide/plugins` lists what changed in %s",
			m.Contract, wit.Package, m.builtText(), wit.Version, majorMinor(wit.Version))
	}
	// Interfaces of which a module has no function are optional, except plugin.
	var missing []string
	for _, i := range interfaces {
		var absent []string
		for _, f := range canon.Functions(i) {
			if name := ExportName(m.Contract, i, f.Name); !m.HasFunction(name) {
				absent = append(absent, name)
			}
		}
		switch {
		case len(absent) == 0:
			complete = append(complete, i)
		case len(absent) < len(Functions[i]) || i == wit.InterfacePlugin:
			missing = append(missing, absent...)
		}
	}
	if !m.HasFunction("cabi_realloc") {
		missing = append(missing, "cabi_realloc")
	}
	if !slices.Contains(m.Exports, Export{Name: "memory", Kind: kindMemory}) {
		missing = append(missing, "memory")
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("exports are missing%s: %s", m.builtText(), strings.Join(missing, ", "))
	}
	var unknown []string
	for _, i := range m.Imports {
		switch {
		case i.Kind == kindFunction && i.Module == wasiModule && wasiFunctions[i.Name]: // provided by the engine
		case i.Kind == kindFunction && isHostInterface(i.Module) && i.Name == "log": // provided by this program
		default:
			unknown = append(unknown, i.Module+" "+i.Name)
		}
	}
	if len(unknown) > 0 {
		return complete, fmt.Errorf("imports functions that no plugin gets: %s; available are log of %s, and the "+
			"functions of %s", strings.Join(unknown, ", "), wit.ImportModule(wit.InterfaceHost), wasiModule)
	}
	return complete, nil
}

// builtText names the contract version in the generators' section, if the exports name another one or none.
func (m *Module) builtText() string {
	if m.BuiltAgainst == "" || m.BuiltAgainst == m.Contract {
		return ""
	}
	return fmt.Sprintf(" (built against %s %s)", wit.Package, m.BuiltAgainst)
}

// isHostInterface reports whether a module name is the contract's host interface in a compatible version.
func isHostInterface(module string) bool {
	version, ok := strings.CutPrefix(module, wit.Package+"/"+wit.InterfaceHost+"@")
	return ok && isCompatible(version)
}

// CheckSignatures compares the core signatures of a compiled module's exports with the contract.
func CheckSignatures(compiled wazero.CompiledModule, version string, complete []string) error {
	exported := compiled.ExportedFunctions()
	for _, i := range complete {
		for _, f := range canon.Functions(i) {
			name := ExportName(version, i, f.Name)
			if err := checkSignature(name, exported[name], f.Params(), f.Results()); err != nil {
				return err
			}
			if post := exported["cabi_post_"+name]; post != nil {
				if err := checkSignature("cabi_post_"+name, post, f.Results(), nil); err != nil {
					return err
				}
			}
		}
	}
	i32 := canon.I32
	return checkSignature("cabi_realloc", exported["cabi_realloc"], []canon.ValueType{i32, i32, i32, i32},
		[]canon.ValueType{i32})
}

func checkSignature(name string, definition api.FunctionDefinition, params, results []canon.ValueType) error {
	list := func(types []api.ValueType) string {
		var names []string
		for _, t := range types {
			names = append(names, api.ValueTypeName(t))
		}
		return "(" + strings.Join(names, " ") + ")"
	}
	want := list(params) + " -> " + list(results)
	got := list(definition.ParamTypes()) + " -> " + list(definition.ResultTypes())
	if want != got {
		return fmt.Errorf("export %s: expected the signature %s, found %s", name, want, got)
	}
	return nil
}

const wasiModule = "wasi_snapshot_preview1"

// wasiFunctions are all functions of preview 1. All are available, because runtimes of languages import more than they
// call: there are no files, arguments, environment and sockets, clocks stand still, and random numbers are the same at
// every start. These are wazero's defaults: only set outputs and randomness in a module config.
var wasiFunctions = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range []string{
		"args_get", "args_sizes_get", "clock_res_get", "clock_time_get", "environ_get", "environ_sizes_get",
		"fd_advise", "fd_allocate", "fd_close", "fd_datasync", "fd_fdstat_get", "fd_fdstat_set_flags",
		"fd_fdstat_set_rights", "fd_filestat_get", "fd_filestat_set_size", "fd_filestat_set_times", "fd_pread",
		"fd_prestat_dir_name", "fd_prestat_get", "fd_pwrite", "fd_read", "fd_readdir", "fd_renumber", "fd_seek",
		"fd_sync", "fd_tell", "fd_write", "path_create_directory", "path_filestat_get", "path_filestat_set_times",
		"path_link", "path_open", "path_readlink", "path_remove_directory", "path_rename", "path_symlink",
		"path_unlink_file", "poll_oneoff", "proc_exit", "proc_raise", "random_get", "sched_yield", "sock_accept",
		"sock_recv", "sock_send", "sock_shutdown"} {
		names[name] = true
	}
	return names
}()
