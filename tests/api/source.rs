//! The modules of a crate, and what a name stands for in one of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use quote::ToTokens as _;
use syn::{Attribute, Item, UseTree, Visibility};

/// Where a module is: the names from the crate's root on.
pub type ModulePath = Vec<String>;

/// All modules, without those of the tests.
pub struct Crate {
    pub modules: BTreeMap<ModulePath, Module>,
}

#[derive(Default)]
pub struct Module {
    pub items: Vec<Item>,
    /// What it takes from others.
    pub uses: Vec<Use>,
    /// The features that it needs.
    pub condition: Option<String>,
}

/// One name, or with `*` in place of the last one all names of a module.
pub struct Use {
    pub from: Vec<String>,
    pub name: String,
    pub public: bool,
}

/// An item: its module and its place among the module's items.
pub type Definition = (ModulePath, usize);

impl Crate {
    /// Reads `lib.rs` in a directory, and what it names.
    pub fn read(directory: &Path) -> Self {
        let mut all = Self { modules: BTreeMap::new() };
        all.read_file(&directory.join("lib.rs"), directory, Vec::new(), None);
        all
    }

    fn read_file(&mut self, file: &Path, below: &Path, path: ModulePath, condition: Option<String>) {
        let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.add(parsed.items, below, path, condition);
    }

    fn add(&mut self, items: Vec<Item>, below: &Path, path: ModulePath, condition: Option<String>) {
        let mut module = Module { condition: condition.clone(), ..Module::default() };
        for item in items {
            if is_left_out(attributes(&item)) {
                continue;
            }
            if let Item::Use(item) = &item {
                let public = matches!(item.vis, Visibility::Public(_)) && !is_hidden(&item.attrs);
                flatten(&item.tree, &mut Vec::new(), public, &mut module.uses);
            }
            if let Item::Mod(inner) = &item {
                let name = inner.ident.to_string();
                let path = [path.as_slice(), std::slice::from_ref(&name)].concat();
                let condition = condition_of(&inner.attrs).or_else(|| condition.clone());
                let below = below.join(&name);
                match &inner.content {
                    Some((_, items)) => self.add(items.clone(), &below, path, condition),
                    None => self.read_file(&file_of(&below), &below, path, condition),
                }
            }
            module.items.push(item);
        }
        self.modules.insert(path, module);
    }

    /// What a path stands for in a module: an item, or a module.
    pub fn resolve(&self, module: &ModulePath, path: &[String]) -> Option<Found> {
        let mut at = module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => (at, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            _ => {}
        }
        while let [first, tail @ ..] = rest {
            rest = tail;
            if first == "super" {
                at.pop();
                continue;
            }
            match self.lookup(&at, first)? {
                Found::Module(path) => at = path,
                item if tail.is_empty() => return Some(item),
                Found::Item(_) | Found::Outside(_) => return None,
            }
        }
        Some(Found::Module(at))
    }

    /// What a name stands for in a module.
    fn lookup(&self, at: &ModulePath, name: &str) -> Option<Found> {
        let module = self.modules.get(at)?;
        let child = [at.as_slice(), &[name.to_owned()]].concat();
        if let Some(index) = module.items.iter().position(|item| name_of(item).as_deref() == Some(name)) {
            return Some(Found::Item((at.clone(), index)));
        }
        if self.modules.contains_key(&child) {
            return Some(Found::Module(child));
        }
        let named = module.uses.iter().filter(|taken| taken.name == name);
        // A use of the same name from outside of the crate leads nowhere; one that names itself would not
        // end.
        let found =
            named.filter(|taken| taken.from != [name]).find_map(|taken| self.resolve(at, &taken.from));
        found.or_else(|| {
            let globs = module.uses.iter().filter(|taken| taken.name == "*");
            globs.filter(|glob| glob.public).find_map(|glob| match self.resolve(at, &glob.from)? {
                Found::Module(path) if path != *at => self.lookup(&path, name),
                _ => None,
            })
        })
    }
}

#[derive(Clone)]
pub enum Found {
    Item(Definition),
    Module(ModulePath),
    /// Of another crate: the path that leads there.
    Outside(String),
}

fn file_of(below: &Path) -> PathBuf {
    let flat = below.with_extension("rs");
    if flat.exists() { flat } else { below.join("mod.rs") }
}

fn flatten(tree: &UseTree, path: &mut Vec<String>, public: bool, all: &mut Vec<Use>) {
    let name = match tree {
        UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            flatten(&tree.tree, path, public, all);
            path.pop();
            return;
        }
        UseTree::Group(group) => {
            group.items.iter().for_each(|tree| flatten(tree, path, public, all));
            return;
        }
        UseTree::Glob(_) => {
            all.push(Use { from: path.clone(), name: "*".to_owned(), public });
            return;
        }
        UseTree::Name(tree) if tree.ident == "self" => {
            let name = path.last().cloned().unwrap_or_default();
            all.push(Use { from: path.clone(), name, public });
            return;
        }
        UseTree::Name(tree) => (&tree.ident, &tree.ident),
        UseTree::Rename(tree) => (&tree.ident, &tree.rename),
    };
    let from = [path.as_slice(), &[name.0.to_string()]].concat();
    all.push(Use { from, name: name.1.to_string(), public });
}

/// The name of an item that has one; a module's is found among the modules.
pub fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn text(attribute: &Attribute) -> String {
    attribute.meta.to_token_stream().to_string().replace(' ', "")
}

/// Whether it is for tests.
pub fn is_left_out(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| text(attribute) == "cfg(test)")
}

pub fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| text(attribute) == "doc(hidden)")
}

/// What has to hold for it to be compiled.
pub fn condition_of(attributes: &[Attribute]) -> Option<String> {
    let condition = attributes.iter().map(text).find(|text| text.starts_with("cfg("))?;
    Some(condition[4..condition.len() - 1].replace('=', " = "))
}
