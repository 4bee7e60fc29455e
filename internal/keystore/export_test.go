package keystore

import "context"

// Open reads a store.
func Open(l Location) (*Store, error) { return open(context.Background(), l, settingNames{}) }
