// Command parameters makes the full list of parameters that make deploy sends, defaults
// included, because CloudFormation keeps the previous value of a parameter that is left
// out. It reports all faults before anything is built: a placeholder, a parameter that
// template.yaml does not have (SAM ignores those), a value that it does not allow, and no
// or two destinations.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"gopkg.in/yaml.v3"
)

func main() {
	template := flag.String("template", "template.yaml", "the template, `FILE`")
	docs := flag.String("docs", "docs/template-parameters.md", "the table of former parameters, `FILE`")
	config := flag.String("config", "samconfig.toml", "the SAM configuration, `FILE`")
	env := flag.String("env", "default", "the environment of the SAM configuration")
	output := flag.String("output", "", "where to write the list for sam deploy --parameter-overrides file://`FILE` (.yaml)")
	flag.Parse()
	if err := run(*template, *docs, *config, *env, os.Getenv("PARAMETERS"), *output); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run writes the list. PARAMETERS, if not empty, replaces all that the configuration has.
func run(template, docs, config, env, parameters, output string) error {
	declared, err := readTemplate(template)
	if err != nil {
		return err
	}
	given := map[string]string{}
	var faults []error
	if parameters != "" {
		faults = parse(given, parameters)
	} else if given, faults, err = readConfig(config, env); err != nil {
		return err
	}
	table, err := os.ReadFile(docs)
	if err != nil {
		return err
	}
	sent, more := complete(declared, given, string(table))
	if faults = append(faults, more...); len(faults) > 0 {
		return errors.Join(faults...)
	}
	for name, value := range sent {
		sent[name] = escape(value)
	}
	text, err := yaml.Marshal(sent)
	if err != nil {
		return fmt.Errorf("writing the parameters: %w", err)
	}
	return os.WriteFile(output, text, 0o600)
}
