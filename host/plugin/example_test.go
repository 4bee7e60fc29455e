package plugin_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"testing/fstest"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// modules are what a program would embed, or what lies in a folder of plugins: here one that tells what it is and does
// nothing else.
var modules fs.FS = fstest.MapFS{"upper.wasm": {Data: guesttest.Static(wit.Description{
	Name: "upper", Version: "1.2.0",
	Components: []wit.Component{{Name: "example.Upper", Kind: wit.ComponentTransformation}},
}, "", wit.InterfaceTransform)}}

// A connector binds to the plugin that has a class, and makes its calls on an instance of its pool.
func Example() {
	ctx := context.Background()
	manager, err := plugin.New(ctx, plugin.Options{Registry: record.NewRegistry(), Embedded: modules,
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()

	binding, err := manager.Bind("orders", wit.ComponentTransformation, "example.Upper", "") // any version
	if err != nil {
		fmt.Println(err)
		return
	}
	defer binding.Close()
	err = binding.Current().Do(ctx, func(i *plugin.Instance) error {
		d, err := i.Describe(ctx)
		fmt.Println(d.Name, d.Version, d.Components[0].Name)
		return err
	})
	if err != nil {
		fmt.Println(err)
	}

	_, err = manager.Bind("orders", wit.ComponentTransformation, "example.Upper", "2.0.0")
	fmt.Println(err)
	// Output:
	// upper 1.2.0 example.Upper
	// transformation example.Upper: expected version 2.0.0, there are 1.2.0
}
