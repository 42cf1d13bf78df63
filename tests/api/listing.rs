//! One line for each item that a user can name, for each of its methods, fields and variants, and for what it
//! implements.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quote::ToTokens;
use syn::{Attribute, Fields, ImplItem, Item, ItemImpl, TraitItem, Type, Visibility};

use super::source::{
    Crate, Definition, Found, ModulePath, attributes, condition_of, is_hidden, is_left_out, name_of,
};

/// The listing, sorted, with the numbers in front.
pub fn of(all: &Crate) -> String {
    let mut listing = Listing { all, lines: BTreeSet::new(), places: BTreeMap::new(), items: 0 };
    listing.walk();
    listing.macros();
    listing.implementations();
    let head = format!(
        "# {} public items, {} lines with their methods, fields, variants and implementations\n",
        listing.items,
        listing.lines.len()
    );
    head + &listing.lines.iter().map(|line| format!("{line}\n")).collect::<String>()
}

struct Listing<'a> {
    all: &'a Crate,
    lines: BTreeSet<String>,
    /// Under which name a user knows an item: the shortest, from the root on.
    places: BTreeMap<Definition, String>,
    items: usize,
}

impl Listing<'_> {
    /// Every public name of every public module, the root's first.
    fn walk(&mut self) {
        let mut modules: BTreeMap<ModulePath, String> = BTreeMap::from([(Vec::new(), "belljar".to_owned())]);
        let mut queue = VecDeque::from([Vec::new()]);
        while let Some(path) = queue.pop_front() {
            let place = modules[&path].clone();
            for (name, found) in self.public_names(&path, &mut BTreeSet::new()) {
                let full = format!("{place}::{name}");
                match found {
                    Found::Item(definition) => self.item(full, definition),
                    Found::Outside(path) => {
                        self.line(&full, format!("pub use {path}"), None);
                        self.items += 1;
                    }
                    Found::Module(module) => match modules.get(&module) {
                        Some(known) => self.line(&full, format!("pub use {known}"), None),
                        None => {
                            let condition = self.all.modules[&module].condition.clone();
                            self.line(&full, format!("pub mod {name}"), condition);
                            self.items += 1;
                            modules.insert(module.clone(), full);
                            queue.push_back(module);
                        }
                    },
                }
            }
        }
    }

    /// What a module shows to users, with what it passes on from others.
    fn public_names(&self, path: &ModulePath, seen: &mut BTreeSet<ModulePath>) -> BTreeMap<String, Found> {
        let mut names = BTreeMap::new();
        if !seen.insert(path.clone()) {
            return names;
        }
        let module = &self.all.modules[path];
        for (index, item) in module.items.iter().enumerate() {
            let is_public = matches!(visibility(item), Some(Visibility::Public(_)));
            if !is_public || is_hidden(attributes(item)) {
                continue;
            }
            if let Item::Mod(inner) = item {
                let child = [path.as_slice(), &[inner.ident.to_string()]].concat();
                names.insert(inner.ident.to_string(), Found::Module(child));
            } else if let Some(name) = name_of(item) {
                names.insert(name, Found::Item((path.clone(), index)));
            }
        }
        for taken in module.uses.iter().filter(|taken| taken.public) {
            let found = self.all.resolve(path, &taken.from);
            match (taken.name.as_str(), found) {
                ("*", Some(Found::Module(from))) => {
                    for (name, found) in self.public_names(&from, seen) {
                        names.entry(name).or_insert(found);
                    }
                }
                (name, None) => drop(names.insert(name.to_owned(), Found::Outside(taken.from.join("::")))),
                (name, Some(found)) => drop(names.insert(name.to_owned(), found)),
            }
        }
        names
    }

    fn line(&mut self, place: &str, declaration: String, condition: Option<String>) {
        let condition = condition.map(|condition| format!(" [{condition}]")).unwrap_or_default();
        self.lines.insert(format!("{place}: {declaration}{condition}"));
    }

    fn item(&mut self, place: String, definition: Definition) {
        if let Some(known) = self.places.get(&definition) {
            let known = known.clone();
            return self.line(&place, format!("pub use {known}"), None);
        }
        let module = &self.all.modules[&definition.0];
        let item = &module.items[definition.1];
        let condition = self.condition(&definition);
        self.items += 1;
        self.line(&place, format!("{}{}", openness(attributes(item)), declaration(item)), condition.clone());
        match item {
            Item::Struct(item) => self.fields(&place, &item.fields, condition.as_ref()),
            Item::Enum(item) => {
                for variant in item.variants.iter().filter(|variant| !is_hidden(&variant.attrs)) {
                    let mut variant = variant.clone();
                    let open = openness(&variant.attrs);
                    variant.attrs.clear();
                    variant.fields.iter_mut().for_each(|field| field.attrs.clear());
                    self.lines.insert(format!("{place}::{open}{}", text(&variant)));
                }
            }
            Item::Trait(item) => {
                for member in item.items.iter().filter(|member| !is_hidden(trait_attributes(member))) {
                    if let Some((name, declaration)) = trait_member(member) {
                        self.line(&format!("{place}::{name}"), declaration, condition.clone());
                    }
                }
            }
            _ => {}
        }
        self.places.insert(definition, place);
    }

    fn fields(&mut self, place: &str, fields: &Fields, condition: Option<&String>) {
        for (index, field) in fields.iter().enumerate() {
            if matches!(field.vis, Visibility::Public(_)) && !is_hidden(&field.attrs) {
                let name = field.ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
                let declaration = format!("pub {name}: {}", text(&field.ty));
                self.line(&format!("{place}.{name}"), declaration, condition.cloned());
            }
        }
    }

    fn macros(&mut self) {
        let exported = |item: &Item| match item {
            Item::Macro(item) if item.attrs.iter().any(|a| a.path().is_ident("macro_export")) => {
                item.ident.as_ref().filter(|_| !is_hidden(&item.attrs)).map(ToString::to_string)
            }
            _ => None,
        };
        let names: Vec<String> =
            self.all.modules.values().flat_map(|module| module.items.iter().filter_map(exported)).collect();
        for name in names {
            self.line(&format!("belljar::{name}!"), format!("macro_rules! {name}"), None);
            self.items += 1;
        }
    }

    /// Methods, and the names of the traits: a line for each condition under which there are some.
    fn implementations(&mut self) {
        let mut traits: BTreeMap<(Definition, Option<String>), BTreeSet<String>> = BTreeMap::new();
        let all = self.all;
        for (path, module) in &all.modules {
            for (index, item) in module.items.iter().enumerate() {
                let own = (path.clone(), index);
                if self.places.contains_key(&own) {
                    let condition = self.condition(&own);
                    traits.entry((own, condition)).or_default().extend(derived(attributes(item)));
                }
                let Item::Impl(block) = item else { continue };
                if is_hidden(&block.attrs) {
                    continue;
                }
                let Some(definition) = self.subject(path, block) else { continue };
                let Some(place) = self.places.get(&definition).cloned() else { continue };
                match &block.trait_ {
                    Some((trait_path, ..)) => {
                        let last = trait_path.segments.last().map(text).unwrap_or_default();
                        let condition = condition_of(&block.attrs).or_else(|| module.condition.clone());
                        let condition = condition.or_else(|| self.condition(&definition));
                        traits.entry((definition, condition)).or_default().insert(last);
                    }
                    None => self.methods(&place, block, condition_of(&block.attrs), &module.condition),
                }
            }
        }
        for ((definition, condition), names) in traits.into_iter().filter(|(_, names)| !names.is_empty()) {
            let place = self.places[&definition].clone();
            self.line(&place, format!("impl {}", Vec::from_iter(names).join(", ")), condition);
        }
    }

    /// What has to hold for there to be the item.
    fn condition(&self, (path, index): &Definition) -> Option<String> {
        let module = &self.all.modules[path];
        condition_of(attributes(&module.items[*index])).or_else(|| module.condition.clone())
    }

    /// The type that the block is for.
    fn subject(&self, path: &ModulePath, block: &ItemImpl) -> Option<Definition> {
        let Type::Path(subject) = &*block.self_ty else { return None };
        let names: Vec<String> = subject.path.segments.iter().map(|part| part.ident.to_string()).collect();
        match self.all.resolve(path, &names)? {
            Found::Item(definition) => Some(definition),
            Found::Module(_) | Found::Outside(_) => None,
        }
    }

    fn methods(
        &mut self,
        place: &str,
        block: &ItemImpl,
        of_block: Option<String>,
        of_module: &Option<String>,
    ) {
        for member in &block.items {
            let (attributes, visibility, name, declaration) = match member {
                ImplItem::Fn(item) => (&item.attrs, &item.vis, &item.sig.ident, text(&item.sig)),
                ImplItem::Const(item) => {
                    let declaration = format!("const {}: {}", item.ident, text(&item.ty));
                    (&item.attrs, &item.vis, &item.ident, declaration)
                }
                _ => continue,
            };
            if matches!(visibility, Visibility::Public(_))
                && !is_hidden(attributes)
                && !is_left_out(attributes)
            {
                let condition =
                    condition_of(attributes).or_else(|| of_block.clone()).or_else(|| of_module.clone());
                self.line(&format!("{place}::{name}"), format!("pub {declaration}"), condition);
            }
        }
    }
}

fn visibility(item: &Item) -> Option<&Visibility> {
    Some(match item {
        Item::Const(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::Fn(item) => &item.vis,
        Item::Mod(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Union(item) => &item.vis,
        _ => return None,
    })
}

/// What a user sees of an item by itself, without its body.
fn declaration(item: &Item) -> String {
    match item {
        Item::Const(item) => format!("pub const {}: {}", item.ident, text(&item.ty)),
        Item::Enum(item) => format!("pub enum {}{}", item.ident, text(&item.generics)),
        Item::Fn(item) => format!("pub {}", text(&item.sig)),
        Item::Static(item) => format!("pub static {}: {}", item.ident, text(&item.ty)),
        Item::Struct(item) => format!("pub struct {}{}", item.ident, text(&item.generics)),
        Item::Trait(item) => {
            let (colon, bounds) = (text(&item.colon_token), text(&item.supertraits));
            format!("pub trait {}{}{colon} {bounds}", item.ident, text(&item.generics)).trim_end().to_owned()
        }
        Item::Type(item) => format!("pub type {}{} = {}", item.ident, text(&item.generics), text(&item.ty)),
        Item::Union(item) => format!("pub union {}{}", item.ident, text(&item.generics)),
        other => panic!("an item that is not known: {}", text(other)),
    }
}

fn openness(attributes: &[Attribute]) -> &'static str {
    let open = attributes.iter().any(|attribute| attribute.path().is_ident("non_exhaustive"));
    if open { "#[non_exhaustive] " } else { "" }
}

fn trait_attributes(member: &TraitItem) -> &[Attribute] {
    match member {
        TraitItem::Const(item) => &item.attrs,
        TraitItem::Fn(item) => &item.attrs,
        TraitItem::Type(item) => &item.attrs,
        _ => &[],
    }
}

/// A member's name and declaration; a method that need not be written says so.
fn trait_member(member: &TraitItem) -> Option<(String, String)> {
    Some(match member {
        TraitItem::Const(item) => {
            (item.ident.to_string(), format!("const {}: {}", item.ident, text(&item.ty)))
        }
        TraitItem::Fn(item) => {
            let provided = if item.default.is_some() { " { ... }" } else { "" };
            (item.sig.ident.to_string(), format!("{}{provided}", text(&item.sig)))
        }
        TraitItem::Type(item) => (item.ident.to_string(), text(item)),
        _ => return None,
    })
}

/// The names in `#[derive(...)]`; what `thiserror` derives is `Error` and `Display`.
fn derived(attributes: &[Attribute]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        attribute
            .parse_nested_meta(|meta| {
                names.extend(meta.path.segments.last().map(|part| part.ident.to_string()));
                Ok(())
            })
            .expect("a list of names");
    }
    if names.contains("Error") {
        names.insert("Display".to_owned());
    }
    names
}

/// Tokens on one line, nearly as rustfmt writes them.
fn text(tokens: &impl ToTokens) -> String {
    let mut spaced = tokens.to_token_stream().to_string().replace("->", "→");
    for mark in ["(", ")", "[", "]", "<", ">", "&", ",", "*"] {
        spaced = spaced.replace(mark, &format!(" {mark} "));
    }
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut text = String::new();
    for (index, word) in words.iter().enumerate() {
        let next = words.get(index + 1).copied().unwrap_or(")");
        if *word == "," && matches!(next, ")" | "]" | "}") {
            continue;
        }
        if index > 0 && is_apart(words[index - 1], word) {
            text.push(' ');
        }
        text.push_str(word);
    }
    text.replace('→', "->")
}

/// Whether there is a space between two tokens.
fn is_apart(left: &str, right: &str) -> bool {
    const KEYWORDS: [&str; 6] = ["mut", "dyn", "impl", "in", "where", "const"];
    let is_name = |word: &str| word.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if matches!(left, "&" | "(" | "[" | "<" | "::" | "*" | "?") {
        return false;
    }
    match right {
        "," | ";" | ":" | "::" | ">" | ")" | "]" | "?" | "." => false,
        "(" | "<" => !(left == ">" || is_name(left) && !KEYWORDS.contains(&left)),
        _ => true,
    }
}
