package keystore_test

import (
	"errors"
	"fmt"

	"github.com/culvert-project/culvert/host/keystore"
)

// A client that shows a certificate and trusts what a store holds. Errors name the setting that the user has to mend.
func ExampleClientTLS() {
	o := keystore.Options{
		Key:   &keystore.Location{Path: "../../testdata/samples/keystores/client.jks", Password: "changeit"},
		Trust: &keystore.Location{Path: "../../testdata/samples/keystores/client.jks", Password: "wrong"},
		Name:  func(field string) string { return "shop." + field },
	}
	_, err := keystore.ClientTLS(o)
	var wrong *keystore.Error
	fmt.Println(errors.As(err, &wrong), wrong.Setting)
	o.Trust.Password = "changeit"
	_, err = keystore.ClientTLS(o)
	fmt.Println(err)
	// Output:
	// true shop.truststore.password
	// <nil>
}
