"""The simulated shop's shelves and items, with titles that people can read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.data.tables import ITEMS

_TREE: dict[str, dict[str, tuple[str, ...]]] = {
    "Food": {
        "Breakfast": ("Muesli", "Porridge Oats", "Orange Marmalade", "Honey"),
        "Bakery": ("Rye Bread", "Croissant", "Bagel", "Flatbread"),
        "Pantry": ("Basmati Rice", "Spaghetti", "Red Lentils", "Olive Oil", "Tomato Passata"),
        "Snacks": ("Dark Chocolate", "Salted Almonds", "Potato Crisps", "Oat Biscuits"),
        "World Kitchen": ("Miso Paste", "Coconut Milk", "Harissa", "Rice Noodles"),
    },
    "Fresh": {
        "Dairy": ("Yoghurt", "Cheddar", "Butter", "Kefir"),
        "Fruit": ("Apples", "Blueberries", "Mangoes", "Oranges"),
        "Vegetables": ("Spinach", "Carrots", "Cherry Tomatoes", "Mushrooms"),
        "Plant Based": ("Oat Drink", "Tofu", "Tempeh", "Hummus"),
    },
    "Drinks": {
        "Coffee and Tea": ("Espresso Beans", "Filter Coffee", "Green Tea", "Chai"),
        "Soft Drinks": ("Ginger Beer", "Sparkling Water", "Apple Juice", "Cola"),
        "Wine and Beer": ("Red Wine", "White Wine", "Pale Ale", "Alcohol-free Lager"),
    },
    "Household": {
        "Cleaning": ("Dish Soap", "Laundry Liquid", "Sponges", "Bin Bags"),
        "Kitchen": ("Frying Pan", "Chef's Knife", "Mixing Bowl", "Teapot"),
        "Garden": ("Potting Soil", "Tomato Seeds", "Watering Can", "Hand Trowel"),
    },
    "Care": {
        "Bath": ("Shampoo", "Shower Gel", "Hand Cream", "Bath Salts"),
        "Baby": ("Nappies", "Baby Wipes", "Baby Porridge", "Bath Toy"),
        "Health": ("Toothpaste", "Plasters", "Vitamin D", "Sunscreen"),
    },
    "Leisure": {
        "Pets": ("Cat Food", "Dog Treats", "Cat Litter", "Bird Seed"),
        "Crafts": ("Watercolours", "Merino Yarn", "Sketchbook", "Origami Paper"),
        "Outdoors": ("Water Bottle", "Head Torch", "Hiking Socks", "Picnic Blanket"),
    },
}
_BRANDS = (
    "Aldergate", "Bluefinch", "Cloverly", "Dovetail", "Everfield", "Foxglove", "Greywater", "Harrow", "Ivybridge",
    "Junipero", "Kestrel", "Larkspur", "Mossbank", "Northlight", "Oakhaven", "Pebble", "Quillon", "Rowanberry",
    "Saltmarsh", "Thistle", "Umberleaf", "Verdant", "Willowmere", "Yarrow",
)  # fmt: skip
_ADJECTIVES = (
    "Classic", "Organic", "Everyday", "Extra", "Family", "Fair", "Golden", "Gentle", "Handmade", "Light", "Little",
    "Mild", "Natural", "Original", "Premium", "Pure", "Rustic", "Simple", "Sunny", "Wild",
)  # fmt: skip
_SIZES = ("Small", "Medium", "Large", "Twin Pack")


@dataclass(frozen=True)
class Catalogue:
    """The items of the shop.

    Attributes:
        table: in the canonical schema, in the order of the arrays below.
        shelf: `(items,)` index of each item's shelf, the narrowest level of the category tree.
        department: `(shelves,)` index of each shelf's department, the widest level.
        line: `(items,)` index of each item's line: one brand's items of one shelf.
        queries: `(items, 4)` what people type to find an item; the last is misspelt.
    """

    table: pa.Table
    shelf: np.ndarray
    department: np.ndarray
    line: np.ndarray
    queries: np.ndarray


def make_catalogue(items: int, rng: np.random.Generator) -> Catalogue:
    """Return `items` items on shelves of uneven length, at prices that depend on the shelf."""
    places = [(d, aisle, noun) for d, aisles in _TREE.items() for aisle, nouns in aisles.items() for noun in nouns]
    departments = list(_TREE)
    shelf = np.sort(rng.choice(len(places), items, p=rng.dirichlet(np.full(len(places), 8.0))))
    level = rng.normal(np.log(450), 0.7, len(places))
    price = np.exp(level[shelf] + rng.normal(0, 0.35, items))
    rows, queries = [], []
    names = _names(shelf, rng)
    for index, (place, (brand, adjective, size)) in enumerate(zip(shelf, names, strict=True)):
        department, aisle, noun = places[place]
        title = f"{brand} {adjective} {noun}, {size}"
        category = f"{department}/{aisle}/{noun}"
        charm = int(price[index] // 10 * 10 + 9)
        rows.append({"item": f"I{index:06d}", "title": title, "category": category, "brand": brand, "price": charm})
        plain = noun.lower()
        queries.append((plain, f"{brand.lower()} {plain}", f"{adjective.lower()} {plain}", plain[:2] + plain[3:]))
    brand_of = np.array([_BRANDS.index(brand) for brand, _, _ in names])
    return Catalogue(
        table=pa.Table.from_pylist(rows, schema=ITEMS),
        shelf=shelf,
        department=np.array([departments.index(department) for department, _, _ in places]),
        line=np.unique(shelf * len(_BRANDS) + brand_of, return_inverse=True)[1],
        queries=np.array(queries, dtype=object),
    )


def _names(shelf: np.ndarray, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """Return a (brand, adjective, size) for each item, no two alike on one shelf while there are enough."""
    names: list[tuple[str, str, str]] = []
    for count in np.bincount(shelf):
        lots = rng.permutation(len(_BRANDS) * len(_ADJECTIVES) * len(_SIZES))
        for turn in range(count):
            rest, size = divmod(int(lots[turn % len(lots)]), len(_SIZES))
            brand, adjective = divmod(rest, len(_ADJECTIVES))
            again = f" no. {turn // len(lots) + 1}" if turn >= len(lots) else ""
            names.append((_BRANDS[brand], _ADJECTIVES[adjective], _SIZES[size] + again))
    return names
